//! Commits that renew their sender's path: validated, stored, answered.

use crate::{
    harness::{TestServer, raw::Keys},
    limits::mls::Observer,
    measure::{as_f64, micros, percentile, watch},
    scale::Scale,
    table::{Row, Table},
    town::Founder,
};

/// Server CPU for a commit, in groups of several sizes. The groups are as adding everybody at once leaves them: inner
/// nodes are blank, so that a path is encrypted to nearly every member.
pub async fn run(server: &TestServer, founder: &mut Founder, people: &[Keys], scale: &Scale, table: &mut Table) {
    for members in scale.committing {
        let mut group = founder.found(&people[..members - 1]).await;
        let mut observer = Observer::new(&founder.member.group_info(&group));
        let mut alone = Vec::new();
        let (mut best, count) = (f64::INFINITY, (2000 / members).clamp(scale.commits, scale.commits * 10));
        for _ in 0..scale.rounds {
            let mut cpu = 0.0;
            for _ in 0..count {
                let bundle = founder.member.update(&mut group);
                alone.push(observer.judge(&bundle.commit));
                // Only the server's part is watched; making the commit is the client's.
                let (taken, ()) = watch(server.pid(), founder.submit(&mut group, &bundle)).await;
                cpu += micros(taken.cpu);
            }
            best = best.min(cpu / as_f64(count));
        }
        alone.sort_unstable();
        let row = Row::context(format!("commit in a group of {members}: server CPU"), best, "us");
        table.add(row.beside("openmls alone, time", micros(percentile(&alone, 0.5))));
    }
}

//! Disks that fail: nothing is acknowledged that is not stored, and what was acknowledged is there afterwards.

use sovereign::entropy;
use sovereign_proto::v1::FailureCode;

use super::sent::{Sent, back};
use crate::harness::{
    TestServer, eventually,
    faulty_disk::{FaultyDisk, Operation, Record},
    scene::pair,
};

/// Syncs of a file since the first fault of the record.
fn syncs_after_fault(records: &[Record], suffix: &str) -> usize {
    let behind = records.iter().skip_while(|record| record.operation != Operation::Fault);
    behind.filter(|record| matches!(record.operation, Operation::Sync { .. }) && record.path.ends_with(suffix)).count()
}

fn faults(disk: &FaultyDisk, after: u64) -> usize {
    disk.records(after).iter().filter(|record| record.operation == Operation::Fault).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_or_a_write_that_fails_ends_the_server_before_it_acknowledges_more() {
    // The next one would succeed, and prove nothing: the system has thrown away by then what it could not write.
    for rule in ["sync -wal 0 1", "sync -wal 2 1", "sync -wal 0 0", "write -wal 0 1", "write -wal 7 1"] {
        let (mut server, disk) = TestServer::start_on_faulty_disk(&[]).await;
        let (mut ada, _bob) = pair(&server).await;
        let mut sent = Sent::default();
        let ids = sent.send(&mut ada, 8).await;
        assert!(sent.answers(&mut ada.person.raw, &ids).await.is_empty() && sent.accepted() == 8);

        let before = disk.recorded();
        disk.fails(rule);
        let mut skipped = 0;
        while server.is_running() && skipped < 100 {
            let ids = sent.send(&mut ada, 1).await;
            let refused = sent.answers(&mut ada.person.raw, &ids).await;
            assert!(refused.iter().all(|code| *code == FailureCode::Unavailable), "{rule}: {refused:?}");
            skipped += 1;
        }
        assert_eq!(server.ended().await, Some(74), "{rule}");
        let records = disk.records(before);
        assert_eq!(syncs_after_fault(&records, "-wal"), 0, "{rule}: a failed sync is never tried again");
        if rule.ends_with("0 1") {
            assert_eq!(sent.accepted(), 8, "{rule}: nothing was acknowledged after the fault");
        }

        disk.fails("");
        server.restart().await;
        back(&server, &mut ada).await;
        sent.all_again(&mut ada.person.raw).await;
        assert_eq!(server.terminate().await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_whose_sync_fails_ends_the_server_and_loses_nothing() {
    for stopping in [false, true] {
        let (mut server, disk) = TestServer::start_on_faulty_disk(&[]).await;
        let (mut ada, _bob) = pair(&server).await;
        let mut sent = Sent::default();
        let ids = sent.send(&mut ada, 8).await;
        assert!(sent.answers(&mut ada.person.raw, &ids).await.is_empty() && sent.accepted() == 8);

        let before = disk.recorded();
        disk.fails("sync sovereign.db 0 1");
        // There is something to write, also if there was a quiet moment before. It may be refused, or lost with the server.
        let ids = sent.send(&mut ada, 1).await;
        sent.answers(&mut ada.person.raw, &ids).await;
        // In a quiet moment the write-ahead log is emptied into the file, and so it is at the end.
        let code = if stopping { server.terminate().await } else { server.ended().await };
        assert_eq!(code, Some(74), "stopping: {stopping}");
        let records = disk.records(before);
        assert_eq!((faults(&disk, before), syncs_after_fault(&records, "sovereign.db")), (1, 0));

        disk.fails("");
        server.restart().await;
        back(&server, &mut ada).await;
        sent.all_again(&mut ada.person.raw).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_recovers_by_itself() {
    let seed = u64::from_ne_bytes(entropy::random());
    println!("seed {seed}");
    // Without a reserve there is no ballast, whose room would take all of these messages.
    let (mut server, disk) = TestServer::start_on_faulty_disk(&["--disk-reserve-bytes", "0"]).await;
    let (mut ada, _bob) = pair(&server).await;
    let mut sent = Sent::default();
    // Full at once, somewhere in the middle of a page, after some more messages; the file that takes the log's pages too.
    for rule in ["space * 0".to_owned(), format!("space * {}", seed % 100_000), "space sovereign.db 0".to_owned()] {
        let before = disk.recorded();
        disk.fails(&rule);
        let mut refused = Vec::new();
        for _ in 0..20 {
            let ids = sent.send(&mut ada, 4).await;
            refused.extend(sent.answers(&mut ada.person.raw, &ids).await);
        }
        assert!(refused.iter().all(|code| *code == FailureCode::QuotaExceeded), "{rule}: {refused:?}");
        if rule.starts_with("space *") {
            assert!(!refused.is_empty(), "{rule}: 80 messages do not fit");
        } else {
            eventually("a checkpoint that finds no room", async || (faults(&disk, before) > 0).then_some(())).await;
        }
        disk.fails("");
        let ids = sent.send(&mut ada, 1).await;
        assert!(sent.answers(&mut ada.person.raw, &ids).await.is_empty(), "{rule}: there is room again");
    }
    server.kill().await;
    server.restart().await;
    back(&server, &mut ada).await;
    sent.all_again(&mut ada.person.raw).await;
}

//! Histories by hand: a good one, and for every class those that must turn it red.

mod restores;

use super::*;
use crate::history::{Item, Kind};

const ADA: u32 = 0;
const BOB: u32 = 1;
/// A light device in the persons' group.
const WITNESS: u32 = 2;
const G: u32 = 0;

/// A history that grows line by line, a millisecond each.
struct Tale(Vec<What>);

impl Tale {
    /// Ada and Bob are in a group, with a witness.
    fn begin() -> Self {
        let mut tale = Self(vec![What::Run { seed: 1, what: String::new() }]);
        for (dev, person) in [(ADA, true), (BOB, true), (WITNESS, false)] {
            tale.0.push(What::Device { dev, name: format!("device {dev}"), person });
            let id = 1000 + u64::from(dev);
            tale.0.push(What::Change { id, dev: ADA, g: G, kind: Kind::Create, whom: Some(dev) });
            tale.0.push(What::ChangeOk { id });
        }
        tale.and(What::Join { dev: ADA, g: G, seq: None }).and(What::Join { dev: BOB, g: G, seq: None }).and(What::Join {
            dev: WITNESS,
            g: G,
            seq: Some(1),
        })
    }

    fn and(mut self, what: What) -> Self {
        self.0.push(what);
        self
    }

    fn sends(self, op: u64, dev: u32) -> Self {
        self.and(What::Invoke { op, dev, g: G })
    }

    fn answered(self, op: u64, dev: u32, seq: u64) -> Self {
        self.and(What::Ok { op, dev, g: G, seq })
    }

    /// A person's inbox.
    fn hears(self, dev: u32, no: u64, seq: u64, op: u64) -> Self {
        self.and(What::Hear { dev, g: G, no, seq, op })
    }

    /// The witness's connection.
    fn sees(self, conn: u32, items: &[Item]) -> Self {
        self.and(What::Entries { dev: WITNESS, conn, g: G, items: items.to_vec() })
    }

    fn finally(self, dev: u32, epoch: u64, auth: &str, ops: &[(u64, u64)]) -> Self {
        self.and(What::Final { dev, g: G, member: true, epoch, auth: auth.to_owned(), ops: ops.to_vec() })
    }

    /// Ada sends messages 1 and 2; everybody has them.
    fn of_two_messages() -> Self {
        Self::begin()
            .sends(1, ADA)
            .answered(1, ADA, 2)
            .hears(BOB, 1, 2, 1)
            .sends(2, ADA)
            .answered(2, ADA, 3)
            .sees(1, &[Item::Message(2, 0), Item::Message(3, 0)])
            .hears(BOB, 2, 3, 2)
    }

    /// Both persons hold these; everybody rests.
    fn ends_with(self, ops: &[(u64, u64)]) -> Verdict {
        self.finally(ADA, 1, "aa", ops).finally(BOB, 1, "aa", ops).and(What::End { settled: true }).verdict()
    }

    fn ends(self) -> Verdict {
        self.ends_with(&[(2, 1), (3, 2)])
    }

    fn verdict(self) -> Verdict {
        let mut checker = Checker::default();
        for (t, what) in (0..).zip(self.0) {
            checker.take(Record { t: t * 1000, what });
        }
        checker.finish()
    }
}

/// The class is red, and no other.
#[track_caller]
fn assert_only(class: Class, verdict: &Verdict) {
    for other in Class::ALL {
        assert_eq!(verdict.count(other) > 0, other == class, "{}: {:#?}", other.name(), verdict.told());
    }
}

#[track_caller]
fn assert_clean(verdict: &Verdict) {
    assert!(verdict.is_clean(), "{:#?}", verdict.told());
}

#[test]
fn a_good_history_is_clean_and_counted() {
    let verdict = Tale::of_two_messages().and(What::Kill { outstanding: 3 }).and(What::Kill { outstanding: 0 }).ends();
    assert_clean(&verdict);
    assert_eq!((verdict.kills, verdict.sends, verdict.commits, verdict.deliveries), (1, 2, 1, 4));
    assert_eq!(
        verdict.line(),
        "kills=1 sends=2 commits=1 deliveries=4 lost=0 duplicate_effect=0 phantom=0 reorder=0 gap_unannounced=0 leak=0 fork=0 \
         torn=0 early_ack=0 late_event=0"
    );
}

#[test]
fn what_a_crash_leaves_open_is_no_fault() {
    // Never answered, and never there; never answered, and there; told again after a restart; entries sent again.
    let verdict = Tale::of_two_messages()
        .sends(3, BOB)
        .sends(4, BOB)
        .hears(BOB, 2, 3, 2)
        .sees(2, &[Item::Message(3, 0), Item::Message(4, 0)])
        .and(What::Stored { g: G, next: 5, epoch: 1 })
        .ends_with(&[(2, 1), (3, 2), (4, 4)]);
    assert_clean(&verdict);
}

#[test]
fn a_member_of_a_part_of_the_time_is_owed_that_part() {
    let verdict = Tale::of_two_messages()
        .and(What::Change { id: 1, dev: ADA, g: G, kind: Kind::Remove, whom: Some(BOB) })
        .sends(3, ADA)
        .answered(3, ADA, 5)
        .and(What::ChangeOk { id: 1 })
        .and(What::Leave { dev: BOB, g: G, seq: None })
        .sees(1, &[Item::Commit(4, 1), Item::Message(5, 0)])
        .finally(ADA, 2, "bb", &[(2, 1), (3, 2), (5, 3)])
        .and(What::Final { dev: BOB, g: G, member: false, epoch: 0, auth: String::new(), ops: vec![(2, 1), (3, 2)] })
        .and(What::End { settled: true })
        .verdict();
    assert_clean(&verdict);
}

#[test]
fn lost() {
    // Bob does not have what Ada was told is durable.
    let missing = Tale::of_two_messages().finally(ADA, 1, "aa", &[(2, 1), (3, 2)]).finally(BOB, 1, "aa", &[(2, 1)]);
    assert_only(Class::Lost, &missing.and(What::End { settled: true }).verdict());
    // Ada herself does not.
    let own = Tale::of_two_messages().finally(ADA, 1, "aa", &[(3, 2)]).finally(BOB, 1, "aa", &[(2, 1), (3, 2)]);
    assert_only(Class::Lost, &own.and(What::End { settled: true }).verdict());
    // Nobody was told, Ada has it, Bob has not.
    let one_sided = Tale::of_two_messages().sends(3, ADA).finally(ADA, 1, "aa", &[(2, 1), (3, 2), (5, 3)]);
    let one_sided = one_sided.finally(BOB, 1, "aa", &[(2, 1), (3, 2)]);
    let verdict = one_sided.sees(1, &[Item::Commit(4, 0), Item::Message(5, 0)]).and(What::End { settled: true }).verdict();
    assert_only(Class::Lost, &verdict);
    // The witness was never given the end of the log.
    let short = Tale::of_two_messages().sends(3, ADA).answered(3, ADA, 4).hears(BOB, 3, 4, 3);
    assert_only(Class::Lost, &short.ends_with(&[(2, 1), (3, 2), (4, 3)]));
    // The witness was told that it is gone, which nothing but a limit may say.
    let gone = Tale::of_two_messages().sends(3, ADA).answered(3, ADA, 4).hears(BOB, 3, 4, 3).sees(1, &[Item::Skipped(4, 4)]);
    assert_only(Class::Lost, &gone.ends_with(&[(2, 1), (3, 2), (4, 3)]));
    // A commit was acknowledged, and the group's epoch does not know of it.
    let mut commits = Tale::of_two_messages();
    for id in [1, 2] {
        commits = commits.and(What::Change { id, dev: ADA, g: G, kind: Kind::Update, whom: None }).and(What::ChangeOk { id });
    }
    assert_only(Class::Lost, &commits.ends());
}

#[test]
fn who_tells_nothing_in_the_end_has_lost_everything() {
    let silent = Tale::of_two_messages().finally(ADA, 1, "aa", &[(2, 1), (3, 2)]).and(What::End { settled: true }).verdict();
    assert_only(Class::Lost, &silent);
    assert_only(
        Class::Lost,
        &Tale::of_two_messages().finally(ADA, 1, "aa", &[(2, 1), (3, 2)]).finally(BOB, 1, "aa", &[(2, 1), (3, 2)]).verdict(),
    );
}

#[test]
fn duplicate_effect() {
    let twice_in_the_inbox = Tale::of_two_messages().hears(BOB, 3, 3, 2).ends();
    assert_only(Class::DuplicateEffect, &twice_in_the_inbox);
    let two_places = Tale::of_two_messages().ends_with(&[(2, 1), (3, 2), (4, 2)]);
    assert!(two_places.count(Class::DuplicateEffect) > 0, "{:#?}", two_places.told());
    // The answer to a resend names another place.
    let answered_twice = Tale::of_two_messages().answered(2, ADA, 9).sees(1, &[Item::Other(4)]);
    let answered_twice = answered_twice.ends();
    assert!(answered_twice.count(Class::DuplicateEffect) > 0, "{:#?}", answered_twice.told());
}

#[test]
fn phantom() {
    assert_only(Class::Phantom, &Tale::of_two_messages().hears(BOB, 3, 4, 77).sees(1, &[Item::Message(4, 0)]).ends());
    // Its sender was told that it never will be there.
    let refused = Tale::of_two_messages().sends(3, ADA).and(What::Fail { op: 3, dev: ADA, g: G, why: String::new() });
    let refused = refused.hears(BOB, 3, 4, 3).sees(1, &[Item::Message(4, 0)]).ends_with(&[(2, 1), (3, 2), (4, 3)]);
    assert_only(Class::Phantom, &refused);
    // It was sent to another group.
    let elsewhere = Tale::of_two_messages().and(What::Invoke { op: 3, dev: ADA, g: 9 }).hears(BOB, 3, 4, 3);
    assert_only(Class::Phantom, &elsewhere.sees(1, &[Item::Message(4, 0)]).ends());
}

#[test]
fn reorder() {
    // Of a connection.
    assert_only(Class::Reorder, &Tale::of_two_messages().sees(1, &[Item::Message(3, 0)]).ends());
    // Of a sender.
    let overtaken = Tale::begin().sends(1, ADA).sends(2, ADA).answered(2, ADA, 2).answered(1, ADA, 3);
    let overtaken = overtaken.hears(BOB, 1, 2, 2).hears(BOB, 2, 3, 1).sees(1, &[Item::Message(2, 0), Item::Message(3, 0)]);
    assert_only(Class::Reorder, &overtaken.ends_with(&[(2, 2), (3, 1)]));
    // Of real time: Bob sent after Ada was answered, and stands before her.
    let early = Tale::begin().sends(1, ADA).answered(1, ADA, 3).sends(2, BOB).answered(2, BOB, 2);
    let early = early.sees(1, &[Item::Message(2, 0), Item::Message(3, 0)]);
    assert_only(Class::Reorder, &early.ends_with(&[(3, 1), (2, 2)]));
    // Of an inbox.
    let inbox = Tale::begin().sends(1, ADA).sends(2, ADA).hears(BOB, 1, 3, 2).hears(BOB, 2, 2, 1);
    let inbox = inbox.sees(1, &[Item::Message(2, 0), Item::Message(3, 0)]);
    assert_only(Class::Reorder, &inbox.ends_with(&[(2, 1), (3, 2)]));
}

#[test]
fn a_sender_who_was_put_off_is_not_overtaken_by_itself() {
    let tale = Tale::begin().sends(1, ADA).sends(2, ADA).and(What::PutOff { op: 1, dev: ADA, g: G, why: String::new() });
    let tale = tale.answered(2, ADA, 2).answered(1, ADA, 3).sees(1, &[Item::Message(2, 0), Item::Message(3, 0)]);
    assert_only(Class::Reorder, &tale.ends_with(&[(2, 2), (3, 1)]));
}

#[test]
fn gap_unannounced() {
    // A message is missing on a connection; it comes on the next one, so nothing is lost.
    let hole = Tale::of_two_messages().sends(3, ADA).answered(3, ADA, 5);
    let hole = hole.sees(1, &[Item::Message(5, 0)]).sees(2, &[Item::Other(4), Item::Message(5, 0)]).hears(BOB, 3, 5, 3);
    assert_only(Class::GapUnannounced, &hole.ends_with(&[(2, 1), (3, 2), (5, 3)]));
    // A connection begins too late.
    let late = Tale::of_two_messages().sends(3, ADA).answered(3, ADA, 5);
    let late = late.sees(2, &[Item::Message(5, 0)]).sees(3, &[Item::Other(4), Item::Message(5, 0)]).hears(BOB, 3, 5, 3);
    assert_only(Class::GapUnannounced, &late.ends_with(&[(2, 1), (3, 2), (5, 3)]));
    // A hole that is announced, and in which nothing stands that anybody sent, is none.
    let announced = Tale::of_two_messages().sends(3, ADA).answered(3, ADA, 9);
    let announced = announced.sees(1, &[Item::Skipped(4, 8), Item::Message(9, 0)]).hears(BOB, 3, 9, 3);
    assert_clean(&announced.ends_with(&[(2, 1), (3, 2), (9, 3)]));
}

#[test]
fn leak() {
    // The witness is given something from before its window, or from behind it.
    assert_only(
        Class::Leak,
        &Tale::of_two_messages().sees(2, &[Item::Other(1), Item::Message(2, 0), Item::Message(3, 0)]).ends(),
    );
    let after = Tale::of_two_messages().and(What::Leave { dev: WITNESS, g: G, seq: Some(3) }).sees(1, &[Item::Other(4)]);
    assert_only(Class::Leak, &after.ends());
    // By real time, whatever the server says of windows: removed, then reached.
    let removed = Tale::of_two_messages()
        .and(What::Change { id: 1, dev: ADA, g: G, kind: Kind::Remove, whom: Some(BOB) })
        .and(What::ChangeOk { id: 1 })
        .sends(3, ADA)
        .hears(BOB, 3, 5, 3)
        .sees(1, &[Item::Commit(4, 1), Item::Message(5, 0)]);
    assert_only(Class::Leak, &removed.ends_with(&[(2, 1), (3, 2), (5, 3)]));
    // Reached before anybody thought of adding them.
    let carol = 7;
    let early = Tale::of_two_messages().and(What::Device { dev: carol, name: String::new(), person: true });
    let early =
        early.and(What::Change { id: 1, dev: ADA, g: G, kind: Kind::Add, whom: Some(carol) }).and(What::ChangeOk { id: 1 });
    let early = early.and(What::Join { dev: carol, g: G, seq: None }).hears(carol, 1, 2, 1);
    let early = early.finally(carol, 1, "aa", &[(2, 1)]).ends();
    assert_only(Class::Leak, &early);
}

#[test]
fn who_came_in_later_than_the_sender_knew_is_owed_nothing_of_before() {
    let seen = |tale: Tale, dev, epoch| tale.and(What::Epoch { dev, g: G, epoch, auth: epoch.to_string() });
    let tale = |of_ada| {
        let begun = seen(seen(Tale::of_two_messages(), ADA, 1), BOB, 1);
        // Bob goes and comes again, in epoch 3; Ada writes when she was seen in this one last.
        let back = begun.and(What::Leave { dev: BOB, g: G, seq: None }).and(What::Join { dev: BOB, g: G, seq: None });
        let wrote = seen(seen(back, ADA, of_ada), BOB, 3).sends(3, ADA).answered(3, ADA, 4).sees(1, &[Item::Message(4, 0)]);
        let ended = wrote.finally(ADA, 3, "3", &[(2, 1), (3, 2), (4, 3)]).finally(BOB, 3, "3", &[(2, 1), (3, 2)]);
        ended.and(What::End { settled: true }).verdict()
    };
    assert_clean(&tale(2));
    assert_only(Class::Lost, &tale(3));
}

#[test]
fn fork() {
    let states = Tale::of_two_messages().finally(ADA, 1, "aa", &[(2, 1), (3, 2)]).finally(BOB, 1, "bb", &[(2, 1), (3, 2)]);
    assert_only(Class::Fork, &states.and(What::End { settled: true }).verdict());
    let on_the_way = Tale::of_two_messages()
        .and(What::Epoch { dev: ADA, g: G, epoch: 1, auth: "aa".to_owned() })
        .and(What::Epoch { dev: BOB, g: G, epoch: 1, auth: "bb".to_owned() });
    assert!(on_the_way.ends().count(Class::Fork) > 0);
    let commits = Tale::of_two_messages().sees(1, &[Item::Commit(4, 1), Item::Commit(5, 1)]).ends();
    assert_only(Class::Fork, &commits);
    // Another message stands in the same place for Bob.
    let worlds = Tale::of_two_messages().sends(3, ADA).finally(ADA, 1, "aa", &[(2, 1), (3, 2)]);
    let worlds = worlds.finally(BOB, 1, "aa", &[(2, 1), (3, 3)]).and(What::End { settled: true }).verdict();
    assert!(worlds.count(Class::Fork) > 0, "{:#?}", worlds.told());
}

#[test]
fn torn() {
    let behind = Tale::of_two_messages().finally(ADA, 2, "bb", &[(2, 1), (3, 2)]).finally(BOB, 1, "aa", &[(2, 1), (3, 2)]);
    assert_only(Class::Torn, &behind.and(What::End { settled: true }).verdict());
    // Somebody was added, and their Welcome never came.
    let welcome = Tale::of_two_messages()
        .and(What::Change { id: 1, dev: ADA, g: G, kind: Kind::Add, whom: Some(9) })
        .and(What::ChangeOk { id: 1 });
    assert_only(Class::Torn, &welcome.ends());
    // The same for somebody whom a group should have begun with.
    let creation = Tale::of_two_messages()
        .and(What::Change { id: 1, dev: ADA, g: G, kind: Kind::Create, whom: Some(9) })
        .and(What::ChangeOk { id: 1 });
    assert_only(Class::Torn, &creation.ends());
    // The same for somebody who had been in before.
    let again = Tale::of_two_messages()
        .and(What::Leave { dev: WITNESS, g: G, seq: Some(3) })
        .and(What::Change { id: 1, dev: ADA, g: G, kind: Kind::Add, whom: Some(WITNESS) })
        .and(What::ChangeOk { id: 1 });
    assert_only(Class::Torn, &again.ends());
    // Put out again in the end; but there was a connection on which the Welcome was due.
    let in_between = Tale::of_two_messages()
        .and(What::Leave { dev: WITNESS, g: G, seq: Some(3) })
        .and(What::Change { id: 1, dev: ADA, g: G, kind: Kind::Add, whom: Some(WITNESS) })
        .and(What::ChangeOk { id: 1 })
        .and(What::Live { dev: WITNESS, conn: 2 });
    let out = |tale: Tale| tale.and(What::Change { id: 2, dev: ADA, g: G, kind: Kind::Remove, whom: Some(WITNESS) }).ends();
    assert_only(Class::Torn, &out(in_between.and(What::Live { dev: WITNESS, conn: 3 })));
}

#[test]
fn early_ack() {
    let message = Tale::of_two_messages().and(What::Kill { outstanding: 1 }).and(What::Stored { g: G, next: 3, epoch: 1 });
    assert_only(Class::EarlyAck, &message.ends());
    let commit = Tale::of_two_messages().and(What::Epoch { dev: ADA, g: G, epoch: 1, auth: "aa".to_owned() }).and(What::Stored {
        g: G,
        next: 4,
        epoch: 0,
    });
    assert_only(Class::EarlyAck, &commit.ends());
    assert_clean(&Tale::of_two_messages().and(What::Stored { g: G, next: 4, epoch: 1 }).ends());
}

#[test]
fn late_event() {
    let revoked = || Tale::of_two_messages().and(What::Revoke { dev: WITNESS }).and(What::RevokeOk { dev: WITNESS });
    // What was on its way is no fault, and nothing more is owed.
    let before = Tale::of_two_messages().sends(3, ADA).and(What::Revoke { dev: WITNESS }).answered(3, ADA, 4);
    let before = before.and(What::RevokeOk { dev: WITNESS }).hears(BOB, 3, 4, 3);
    assert_clean(&before.ends_with(&[(2, 1), (3, 2), (4, 3)]));
    let after = revoked().sends(3, ADA).answered(3, ADA, 4).hears(BOB, 3, 4, 3).sees(1, &[Item::Message(4, 0)]);
    assert_only(Class::LateEvent, &after.ends_with(&[(2, 1), (3, 2), (4, 3)]));
    assert_only(Class::LateEvent, &revoked().and(What::Live { dev: WITNESS, conn: 5 }).ends());
}

#[test]
fn what_is_timed_is_what_it_is_called() {
    let verdict = Tale::of_two_messages()
        // A start that followed no kill is not among those that did.
        .and(What::Up { ready_us: 900 })
        .and(What::Kill { outstanding: 1 })
        .and(What::Up { ready_us: 70 })
        .and(What::Up { ready_us: 800 })
        .and(What::Revoke { dev: WITNESS })
        .sees(2, &[Item::Message(3, 0)])
        .and(What::RevokeOk { dev: WITNESS })
        .and(What::LastByte { dev: WITNESS, after_us: 1500 })
        .ends();
    assert_clean(&verdict);
    assert_eq!((verdict.ready, verdict.last_byte, verdict.last_entry), (vec![70], vec![1500], vec![1000]));
}

#[test]
fn lines_of_a_file_are_what_was_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("history.jsonl");
    let history = crate::history::History::create(&path).expect("a file");
    Tale::of_two_messages().0.into_iter().for_each(|what| history.record(what));
    history.flush().expect("written");
    let verdict = Checker::read(&path).expect("read");
    assert_eq!((verdict.sends, verdict.deliveries), (2, 4));
    std::fs::write(&path, "{\"t\":1,\"e\":\"invoke\"\n").expect("written");
    assert!(Checker::read(&path).is_err(), "half a history proves nothing");
}

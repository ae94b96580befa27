//! Histories in which the server is put back from a backup: what that takes is no fault, and it hides none.

use super::*;

/// Where the log goes on behind a restore.
const NEXT: u64 = 1000;

impl Tale {
    /// Two messages that everybody has, and a backup.
    fn backed_up() -> Self {
        Self::of_two_messages().and(What::Backup {}).and(What::BackupOk {})
    }

    /// Nothing behind entry 3 is kept; everybody is told.
    fn restored(self) -> Self {
        self.restored_up_to(3, 1).sees(2, &[Item::Skipped(4, NEXT - 1)])
    }

    fn restored_up_to(self, to: u64, epoch: u64) -> Self {
        let tale = self.and(What::Kill { outstanding: 1 }).and(What::Restored { generation: 1 });
        tale.and(What::Kept { g: G, to, next: NEXT, epoch }).and(What::Noticed { dev: ADA }).and(What::Noticed { dev: BOB })
    }

    fn at_epoch(self, dev: u32, epoch: u64, auth: &str) -> Self {
        self.and(What::Epoch { dev, g: G, epoch, auth: auth.to_owned() })
    }

    /// Somebody commits, and both talk: messages 11 and 12 at 1001 and 1002.
    fn goes_on(self) -> Self {
        let tale = self.and(What::Change { id: 50, dev: BOB, g: G, kind: Kind::Update, whom: None });
        let tale = tale.and(What::ChangeOk { id: 50 }).sees(2, &[Item::Commit(NEXT, 1)]);
        let tale = tale.sends(11, ADA).answered(11, ADA, NEXT + 1).at_epoch(ADA, 2, "bb").hears(BOB, 8, NEXT + 1, 11);
        let tale = tale.sends(12, BOB).answered(12, BOB, NEXT + 2).at_epoch(BOB, 2, "bb").hears(ADA, 8, NEXT + 2, 12);
        tale.sees(2, &[Item::Message(NEXT + 1, 0), Item::Message(NEXT + 2, 0)])
    }

    /// What these two hold besides messages 1, 2, 11 and 12.
    fn rests(self, adas: &[(u64, u64)], bobs: &[(u64, u64)]) -> Verdict {
        let all = |more: &[(u64, u64)]| [&[(2, 1), (3, 2), (NEXT + 1, 11), (NEXT + 2, 12)], more].concat();
        let (adas, bobs) = (all(adas), all(bobs));
        self.finally(ADA, 2, "bb", &adas).finally(BOB, 2, "bb", &bobs).and(What::End { settled: true }).verdict()
    }
}

/// A light device that talks.
const CAROL: u32 = 7;

/// Message 3 is answered behind the backup; one person and the witness have it.
fn of_a_message_behind_the_backup() -> Tale {
    Tale::backed_up().sends(3, ADA).answered(3, ADA, 4).sees(1, &[Item::Message(4, 0)])
}

#[test]
fn what_was_said_behind_the_backup_is_owed_to_nobody() {
    let verdict = of_a_message_behind_the_backup().restored().goes_on().rests(&[(4, 3)], &[]);
    assert_clean(&verdict);
    assert_eq!((verdict.restores, verdict.kills), (1, 1));
    // But its sender, who was told that it is there, has it.
    assert_only(Class::Lost, &of_a_message_behind_the_backup().restored().goes_on().rests(&[], &[]));
    // The same commits are made again, with other secrets, and stand in other places.
    let committed = Tale::backed_up().at_epoch(ADA, 2, "lost").sees(1, &[Item::Commit(4, 1)]).at_epoch(ADA, 3, "lost, too");
    assert_clean(&committed.restored().at_epoch(ADA, 3, "lost, too").goes_on().rests(&[], &[]));
}

#[test]
fn what_was_answered_before_the_backup_is_owed_behind_it() {
    let ends = |tale: Tale, bobs: &[(u64, u64)]| {
        let bobs = [bobs, &[(NEXT + 1, 11), (NEXT + 2, 12)]].concat();
        let adas = [(2, 1), (3, 2), (NEXT + 1, 11), (NEXT + 2, 12)];
        tale.finally(ADA, 2, "bb", &adas).finally(BOB, 2, "bb", &bobs).and(What::End { settled: true }).verdict()
    };
    assert_only(Class::Lost, &ends(Tale::backed_up().restored().goes_on(), &[(2, 1)]));
    // The backup itself lacks it, though everybody has it.
    let short = Tale::backed_up().restored_up_to(2, 1).sees(2, &[Item::Message(3, 0), Item::Skipped(4, NEXT - 1)]);
    assert_only(Class::Lost, &short.goes_on().rests(&[], &[]));
    // The witness, which was away, is told that it is gone.
    let away = Tale::begin().sends(1, ADA).answered(1, ADA, 2).sends(2, ADA).answered(2, ADA, 3).hears(BOB, 1, 2, 1);
    let away = away.hears(BOB, 2, 3, 2).and(What::Backup {}).restored_up_to(3, 1);
    let told = away.sees(2, &[Item::Message(2, 0), Item::Skipped(3, NEXT - 1)]).goes_on();
    assert_only(Class::Lost, &told.rests(&[], &[]));
    // A commit that was answered before the backup is undone by it.
    let undone = Tale::of_two_messages().at_epoch(ADA, 2, "aa").and(What::Backup {}).restored_up_to(3, 1);
    assert_only(Class::Lost, &undone.sees(2, &[Item::Skipped(4, NEXT - 1)]).goes_on().rests(&[], &[]));
}

#[test]
fn what_is_answered_behind_the_restore_is_owed() {
    let tale = || Tale::backed_up().restored().goes_on().sends(13, ADA).answered(13, ADA, NEXT + 3);
    let seen = |tale: Tale| tale.sees(2, &[Item::Message(NEXT + 3, 0)]);
    assert_clean(&seen(tale()).rests(&[(NEXT + 3, 13)], &[(NEXT + 3, 13)]));
    assert_only(Class::Lost, &seen(tale()).rests(&[(NEXT + 3, 13)], &[]));
    // The witness is not given it; or is told that it is gone.
    assert_only(Class::Lost, &tale().rests(&[(NEXT + 3, 13)], &[(NEXT + 3, 13)]));
    let told = tale().sees(2, &[Item::Skipped(NEXT + 3, NEXT + 3)]);
    assert_only(Class::Lost, &told.rests(&[(NEXT + 3, 13)], &[(NEXT + 3, 13)]));
}

#[test]
fn a_gap_is_the_restores_only_behind_it() {
    // Told before the restore that a message is gone, which was there.
    let early = Tale::backed_up().sends(3, ADA).answered(3, ADA, 4).sees(1, &[Item::Skipped(4, 4)]);
    assert_only(Class::Lost, &early.restored().goes_on().rests(&[(4, 3)], &[]));
    // Not told of it at all.
    let silent = Tale::backed_up().restored_up_to(3, 1).sees(2, &[Item::Message(3, 0)]).goes_on();
    assert!(silent.rests(&[], &[]).count(Class::GapUnannounced) > 0);
}

#[test]
fn what_was_not_answered_is_sent_again_once() {
    // Bob has read it before it was lost; it has another place then, where the witness gets it.
    let again = |told: bool| {
        let sent = Tale::backed_up().sends(3, CAROL).hears(BOB, 3, 4, 3);
        let sent = if told { sent.answered(3, CAROL, 4) } else { sent };
        let sent = sent.restored().goes_on().answered(3, CAROL, NEXT + 3).sees(2, &[Item::Message(NEXT + 3, 3)]);
        sent.rests(&[], &[(4, 3)])
    };
    assert_clean(&again(false));
    assert_only(Class::DuplicateEffect, &again(true));
    // What the backup holds is known, and has one place.
    let kept = Tale::of_two_messages().sends(3, CAROL).hears(BOB, 3, 4, 3).sees(1, &[Item::Message(4, 0)]).and(What::Backup {});
    let kept = kept.restored_up_to(4, 1).sees(2, &[Item::Skipped(5, NEXT - 1)]).goes_on().answered(3, CAROL, NEXT + 3);
    let kept = kept.sees(2, &[Item::Message(NEXT + 3, 3)]).rests(&[(4, 3)], &[(4, 3)]);
    assert!(kept.count(Class::DuplicateEffect) > 0, "{:#?}", kept.told());
    // Twice behind the restore is twice.
    let twice = Tale::backed_up().restored().goes_on().hears(ADA, 9, NEXT + 2, 12);
    assert_only(Class::DuplicateEffect, &twice.rests(&[], &[]));
}

#[test]
fn a_refusal_speaks_of_what_the_restore_has_left() {
    let refused = |tale: Tale| tale.and(What::Fail { op: 3, dev: ADA, g: G, why: String::new() });
    let sent = || Tale::backed_up().sends(3, ADA).hears(BOB, 3, 4, 3);
    assert_clean(&refused(sent().restored().goes_on()).rests(&[], &[(4, 3)]));
    assert_only(Class::Phantom, &refused(sent()).restored().goes_on().rests(&[], &[(4, 3)]));
}

#[test]
fn no_seq_is_given_twice() {
    let again = of_a_message_behind_the_backup().and(What::Restored { generation: 1 });
    let again = again.and(What::Kept { g: G, to: 3, next: 4, epoch: 1 });
    let again = again.sends(4, BOB).answered(4, BOB, 4).ends_with(&[(2, 1), (3, 2), (4, 3)]);
    assert!(again.count(Class::Fork) > 0, "{:#?}", again.told());
}

#[test]
fn order_is_that_of_each_era() {
    let tale = Tale::backed_up().restored().goes_on().sends(13, ADA).answered(13, ADA, NEXT + 4).sends(14, BOB);
    let tale = tale.answered(14, BOB, NEXT + 3).sees(2, &[Item::Message(NEXT + 3, 0), Item::Message(NEXT + 4, 0)]);
    let more = [(NEXT + 3, 14), (NEXT + 4, 13)];
    assert_only(Class::Reorder, &tale.rests(&more, &more));
}

#[test]
fn everybody_comes_to_one_state() {
    let all = [(2, 1), (3, 2), (NEXT + 1, 11), (NEXT + 2, 12)];
    let ends = |epoch, auth: &str| {
        let tale = Tale::backed_up().restored().goes_on().finally(ADA, 2, "bb", &all).finally(BOB, epoch, auth, &all);
        tale.and(What::End { settled: true }).verdict()
    };
    assert_clean(&ends(2, "bb"));
    assert_only(Class::Fork, &ends(2, "another"));
    assert_only(Class::Torn, &ends(1, "aa"));
    // And can talk.
    assert_only(Class::Lost, &Tale::backed_up().restored().ends());
}

#[test]
fn who_was_out_before_the_backup_stays_out() {
    let removal = |tale: Tale| {
        let tale = tale.and(What::Change { id: 60, dev: ADA, g: G, kind: Kind::Remove, whom: Some(WITNESS) });
        tale.and(What::ChangeOk { id: 60 }).and(What::Leave { dev: WITNESS, g: G, seq: Some(3) })
    };
    let before = || removal(Tale::of_two_messages()).and(What::Backup {}).restored();
    assert_only(Class::Leak, &before().goes_on().rests(&[], &[]));
    // By real time alone, whatever windows say.
    let heard = Tale::of_two_messages()
        .and(What::Change { id: 60, dev: ADA, g: G, kind: Kind::Remove, whom: Some(BOB) })
        .and(What::ChangeOk { id: 60 })
        .and(What::Backup {})
        .restored()
        .sends(13, ADA)
        .answered(13, ADA, NEXT)
        .sees(2, &[Item::Message(NEXT, 0)])
        .hears(BOB, 3, NEXT, 13);
    assert_only(Class::Leak, &heard.ends_with(&[(2, 1), (3, 2), (NEXT, 13)]));
    // Behind the backup nobody can say, until the witness is told of a window again.
    let behind = || removal(Tale::backed_up()).restored().goes_on();
    assert_clean(&behind().rests(&[], &[]));
    let told = behind().and(What::Leave { dev: WITNESS, g: G, seq: Some(NEXT + 2) }).sees(2, &[Item::Other(NEXT + 3)]);
    assert_only(Class::Leak, &told.rests(&[], &[]));
}

#[test]
fn who_was_let_in_before_the_backup_comes_in() {
    let added = |tale: Tale| tale.and(What::Change { id: 60, dev: ADA, g: G, kind: Kind::Add, whom: Some(9) });
    let before = added(Tale::of_two_messages()).and(What::ChangeOk { id: 60 }).and(What::Backup {}).restored();
    assert_only(Class::Torn, &before.goes_on().rests(&[], &[]));
    let behind = added(Tale::backed_up()).and(What::ChangeOk { id: 60 }).restored();
    assert_clean(&behind.goes_on().rests(&[], &[]));
    let later = added(Tale::backed_up().restored()).and(What::ChangeOk { id: 60 });
    assert_only(Class::Torn, &later.goes_on().rests(&[], &[]));
}

#[test]
fn who_was_revoked_stays_revoked() {
    let revoked = Tale::backed_up().and(What::Revoke { dev: WITNESS }).and(What::RevokeOk { dev: WITNESS });
    let verdict = revoked.restored_up_to(3, 1).and(What::Live { dev: WITNESS, conn: 2 }).ends();
    assert!(verdict.count(Class::LateEvent) > 0, "{:#?}", verdict.told());
}

#[test]
fn a_restore_has_a_backup_and_is_the_only_one_that_is_told() {
    assert_only(Class::Lost, &Tale::of_two_messages().and(What::Restored { generation: 1 }).ends());
    assert_only(Class::Lost, &Tale::of_two_messages().and(What::Noticed { dev: ADA }).ends());
}

#[test]
fn a_reset_follows_a_restore_and_all_go_the_same_way() {
    let moved = |bobs: &str, auth: &str| {
        let reset = |dev, to: &str| What::Reset { dev, g: G, to: to.to_owned() };
        let ends = |dev, to: &str, auth: &str| {
            let (to, auth) = (to.to_owned(), auth.to_owned());
            What::Successor { dev, g: G, to, epoch: 1, auth }
        };
        let mut tale = Tale::backed_up().restored();
        for (dev, to) in [(ADA, "new"), (BOB, bobs)] {
            tale = tale.and(What::Leave { dev, g: G, seq: None }).and(reset(dev, to));
        }
        for (dev, to, auth) in [(ADA, "new", "aa"), (BOB, bobs, auth)] {
            let ops = vec![(2, 1), (3, 2)];
            tale =
                tale.and(What::Final { dev, g: G, member: false, epoch: 0, auth: String::new(), ops }).and(ends(dev, to, auth));
        }
        tale.and(What::End { settled: true }).verdict()
    };
    assert_clean(&moved("new", "aa"));
    assert_only(Class::Fork, &moved("elsewhere", "aa"));
    assert_only(Class::Fork, &moved("new", "bb"));
    assert_only(Class::Fork, &Tale::of_two_messages().and(What::Reset { dev: ADA, g: G, to: "new".to_owned() }).ends());
}

#[test]
fn a_second_restore_is_like_the_first() {
    let tale = |to: u64| {
        let tale = Tale::backed_up().restored().goes_on().sends(13, ADA).answered(13, ADA, NEXT + 3).and(What::Backup {});
        let tale = tale.sends(14, ADA).answered(14, ADA, NEXT + 4).and(What::Restored { generation: 2 });
        let tale = tale.and(What::Kept { g: G, to, next: 2 * NEXT, epoch: 2 }).sends(15, ADA).answered(15, ADA, 2 * NEXT);
        let seen = [Item::Message(NEXT + 3, 0), Item::Skipped(NEXT + 4, 2 * NEXT - 1), Item::Message(2 * NEXT, 0)];
        tale.sees(3, &seen)
    };
    let (kept, lost, new) = ((NEXT + 3, 13), (NEXT + 4, 14), (2 * NEXT, 15));
    assert_clean(&tale(NEXT + 3).rests(&[kept, lost, new], &[kept, new]));
    // What was said between the two restores and before the second backup is owed.
    assert_only(Class::Lost, &tale(NEXT + 3).rests(&[kept, lost, new], &[new]));
    assert_only(Class::Lost, &tale(NEXT + 2).rests(&[kept, lost, new], &[kept, new]));
}

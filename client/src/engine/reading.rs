//! What callers read: groups, history, the listener's inbox.

use std::collections::BTreeMap;

use super::{
    Work,
    records::{GroupRecord, HistoryRecord, InboxRecord, NoticeRecord, Stage},
};
use crate::{
    error::Error,
    mls::Mls,
    model::{GroupInfo, GroupState, InboxItem, Member, Message, Notice},
    vault::Space,
};

/// The listener's mark in the inbox.
const MARK: &[u8] = b"listened";
/// Messages of the inbox that are looked at in one go.
const INBOX_LOOKED_AT_MAX: usize = 10_000;

impl Work<'_> {
    /// Every group, by id. One that a reset has replaced stands with the group in its place.
    pub(crate) fn group_infos(&mut self) -> Result<Vec<GroupInfo>, Error> {
        let mut records = self.all_groups()?;
        records.retain(|record| record.successor.is_none());
        records.sort_unstable_by_key(|record| record.id);
        records.into_iter().map(|record| self.group_info(record)).collect()
    }

    /// The last messages of a group and of those that it replaces, ascending.
    pub(crate) fn history(&mut self, group: &[u8; 32], limit: usize) -> Result<Vec<Message>, Error> {
        let group = self.current(group)?;
        let request = self.known_group(&group)?.request;
        let mut messages = Vec::new();
        for group in [vec![group], self.former(&group)?].concat() {
            let records = self.tx.last::<HistoryRecord>(Space::History, &group, u64::MAX, limit - messages.len())?;
            let older = records.into_iter().map(|(seq, record)| self.message(group, seq, record, request));
            messages.splice(0..0, older.collect::<Result<Vec<_>, _>>()?);
            if messages.len() >= limit {
                break;
            }
        }
        Ok(messages)
    }

    /// The last messages of one group's own log before `before`, ascending.
    pub(crate) fn history_before(&mut self, group: &[u8; 32], before: u64, limit: usize) -> Result<Vec<Message>, Error> {
        let request = self.known_group(group)?.request;
        let records = self.tx.last::<HistoryRecord>(Space::History, group, before, limit)?;
        records.into_iter().map(|(seq, record)| self.message(*group, seq, record, request)).collect()
    }

    /// What stands behind the listener's mark.
    pub(crate) fn inbox(&mut self, limit: usize) -> Result<Vec<InboxItem>, Error> {
        let mark: u64 = self.tx.get(Space::Meta, MARK)?.unwrap_or(0);
        self.inbox_behind(mark, limit)
    }

    /// Messages behind the listener's mark, notices passed over.
    pub(crate) fn unlistened(&mut self, limit: usize) -> Result<Vec<Message>, Error> {
        let mut behind: u64 = self.tx.get(Space::Meta, MARK)?.unwrap_or(0);
        let mut messages = Vec::new();
        while messages.len() < limit {
            let items = self.inbox_behind(behind, limit - messages.len())?;
            let Some(last) = items.last() else { break };
            behind = last.local_no();
            messages.extend(items.into_iter().filter_map(|item| match item {
                InboxItem::Message(message) => Some(message),
                InboxItem::Notice(_) => None,
            }));
        }
        Ok(messages)
    }

    fn inbox_behind(&mut self, behind: u64, limit: usize) -> Result<Vec<InboxItem>, Error> {
        let mut items = Vec::new();
        for (local_no, InboxRecord { group, seq, notice }) in self.tx.items(Space::Inbox, b"", behind, limit)? {
            if let Some(NoticeRecord { text, time_ms }) = notice {
                items.push(InboxItem::Notice(Notice { text, time_ms, local_no }));
            } else if let Some(record) = self.tx.item::<HistoryRecord>(Space::History, &group, seq)? {
                let request = self.group(&group)?.is_some_and(|group| group.request);
                items.push(InboxItem::Message(self.message(group, seq, record, request)?));
            }
        }
        Ok(items)
    }

    /// Moves the listener's mark forward.
    pub(crate) fn mark_listened(&mut self, local_no: u64) -> Result<(), Error> {
        let mark: u64 = self.tx.get(Space::Meta, MARK)?.unwrap_or(0);
        if local_no > mark {
            self.tx.put(Space::Meta, MARK, &local_no)?;
            self.tx.trim(Space::Inbox, b"", local_no)?;
        }
        Ok(())
    }

    /// Moves the listener's mark over whatever was read.
    pub(crate) fn pass_read(&mut self) -> Result<(), Error> {
        let mut mark: u64 = self.tx.get(Space::Meta, MARK)?.unwrap_or(0);
        let before = mark;
        for (local_no, record) in self.tx.items::<InboxRecord>(Space::Inbox, b"", mark, INBOX_LOOKED_AT_MAX)? {
            if record.notice.is_some() || record.seq > self.read_marker(&record.group)? {
                break;
            }
            mark = local_no;
        }
        if mark > before { self.mark_listened(mark) } else { Ok(()) }
    }

    /// How many messages of others in each group are new: neither listened to nor read.
    pub(crate) fn unread(&self) -> Result<Vec<([u8; 32], u64)>, Error> {
        let mark: u64 = self.tx.get(Space::Meta, MARK)?.unwrap_or(0);
        let me = self.me().account;
        let mut counts: BTreeMap<[u8; 32], u64> = BTreeMap::new();
        for (_, InboxRecord { group, seq, .. }) in self.tx.items(Space::Inbox, b"", mark, INBOX_LOOKED_AT_MAX)? {
            if seq <= self.read_marker(&group)? {
                continue;
            }
            if self.tx.item::<HistoryRecord>(Space::History, &group, seq)?.is_some_and(|record| record.from.account != me) {
                *counts.entry(group).or_default() += 1;
            }
        }
        Ok(counts.into_iter().collect())
    }

    pub(super) fn message(&self, group: [u8; 32], seq: u64, record: HistoryRecord, request: bool) -> Result<Message, Error> {
        Ok(Message {
            group,
            seq,
            from: self.name_of(&record.from.account)?,
            from_device: record.from.device,
            text: record.text,
            time_ms: record.time_ms,
            local_no: record.local_no,
            request,
            urgent: record.urgent,
            expires_at_ms: record.expires_at_ms,
        })
    }

    fn group_info(&mut self, record: GroupRecord) -> Result<GroupInfo, Error> {
        let id = record.id;
        let here = matches!(record.stage, Stage::Active | Stage::Creating);
        let (leaves, epoch) = if here { self.look(&id, |group| (group.leaves(), group.epoch()))? } else { (Vec::new(), 0) };
        let proposals = self.proposals(&id, epoch)?;
        let asking = if here && !proposals.is_empty() {
            self.change(&id, |provider, group| Ok::<_, Error>(Mls::leavers(provider, group, &proposals)))??
        } else {
            Vec::new()
        };
        let mut members: Vec<Member> = Vec::new();
        for leaf in leaves {
            let pin = self.pin(&leaf.of.account)?;
            let struck = pin.as_ref().is_some_and(|pin| pin.version > 0 && pin.device(&leaf.of.device).is_none());
            let leaving = struck || asking.iter().any(|asker| asker.account == leaf.of.account);
            match members.iter_mut().find(|member| member.account_id == leaf.of.account) {
                Some(member) => {
                    member.devices += 1;
                    member.leaving |= leaving;
                }
                None => members.push(Member {
                    username: self.name_of(&leaf.of.account)?,
                    account_id: leaf.of.account,
                    devices: 1,
                    leaving,
                }),
            }
        }
        members.sort_unstable_by(|a, b| a.username.cmp(&b.username));
        let state = match (record.stage, &record) {
            (Stage::Left, _) => GroupState::Left,
            (Stage::Creating | Stage::Awaited | Stage::Outside, _) => GroupState::Joining,
            (Stage::Active, GroupRecord { frozen: true, .. }) => GroupState::Frozen,
            (Stage::Active, GroupRecord { leaving: true, .. }) => GroupState::Leaving,
            (Stage::Active, _) => GroupState::Active,
        };
        let (direct, former) = (self.is_direct(&record)?, self.former(&id)?);
        Ok(GroupInfo { id, name: record.name, members, epoch, direct, state, request: record.request, former })
    }
}

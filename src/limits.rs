//! Every bound of the server, in one place. What clients must know is announced in `Hello`.
//!
//! Bytes unless the name says otherwise. What an operator may change comes from the configuration; the rest is law.

use std::{num::NonZeroUsize, time::Duration};

use sovereign_proto::v1;

/// The largest frame before authentication.
pub const FRAME_BEFORE_AUTHENTICATION: usize = 16 * 1024;
/// Requests of one connection that are being handled at once; beyond it the connection is not read.
pub const REQUESTS_IN_FLIGHT: usize = 64;
/// Frames of one connection that are read before others have their turn.
pub const FRAMES_PER_TURN: usize = 128;
/// Bytes of requests of one connection that are being handled at once.
pub const BYTES_IN_FLIGHT: usize = 2 * 1024 * 1024;
/// Bytes of entries sent to a connection and not acknowledged; one entry may always be outstanding.
pub const ENTRIES_CREDIT: usize = 1024 * 1024;
/// Bytes fed to a socket and not yet taken by it; beyond it nothing but answers is fed.
pub const SEND_BUFFER: usize = 256 * 1024;
/// Bytes fed to a socket beyond which the connection is not read any more (answers pile up).
pub const SEND_BUFFER_HARD: usize = 1024 * 1024;
/// What the largest answers may hold: a `GroupInfo`, or the key packages of a claim.
pub const LARGEST_ANSWER: usize = 1024 * 1024;
/// Entries of one `Entries` push or page.
pub const ENTRIES_PER_PAGE: usize = 256;
/// Bytes of entries of one `Entries` push or page, unless a single one is larger.
pub const BYTES_PER_PAGE: usize = 128 * 1024;
/// Entries that the answer to a lost race or a stale send carries.
pub const ENTRIES_PER_STALE_ANSWER: usize = 64;
/// Bytes of entries in such an answer, unless a single one is larger. Every request that may be answered so counts them
/// among the bytes of its connection, so that all it may have in flight still fit.
pub const BYTES_PER_STALE_ANSWER: usize = 24 * 1024;
const _: () = assert!(REQUESTS_IN_FLIGHT * (1024 + BYTES_PER_STALE_ANSWER) <= BYTES_IN_FLIGHT, "messages of 1 KiB all fit");
/// Fields of one request message; prost turns each empty submessage into a struct many times its size.
pub const FIELDS_PER_REQUEST: usize = 1024;
/// Positions of one `Acknowledge` or `SignIn`.
pub const POSITIONS: usize = 256;
/// Malformed frames with a readable request id that a connection may send before it is closed with 4007.
pub const MALFORMED_FRAMES: u32 = 1;
/// WebSocket pings and pongs of one connection within a heartbeat interval before it is closed with 4008.
pub const CONTROL_FRAMES_PER_INTERVAL: u32 = 240;
/// Pushes that wait for one session besides entries.
pub const WAITING_PUSHES: usize = 32;
/// The ciphertext of a signal.
pub const SIGNAL: usize = 1280;
/// Signals that wait for one session; beyond it the oldest is dropped.
pub const WAITING_SIGNALS: usize = 256;
/// Signals of one sender in one group that wait for one session; beyond it the oldest of them is dropped.
pub const WAITING_SIGNALS_PER_SENDER: usize = 64;
/// Bytes fed to a socket and not yet taken by it; beyond it signals are dropped.
pub const SIGNAL_BUFFER: usize = 128 * 1024;

/// How long a handler may take before its request is answered `deadline_exceeded`.
pub const HANDLER_DEADLINE: Duration = Duration::from_secs(30);
/// How long a socket may refuse what was fed to it before the connection is closed with 4012.
pub const SLOW_READER_DEADLINE: Duration = Duration::from_secs(30);
/// Bytes that a socket has to take in that time, if it does not take all.
pub const SLOW_READER_PROGRESS: usize = 32 * 1024;
/// How long a close handshake may take.
pub const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// Leaves (devices) of one group.
pub const LEAVES_PER_GROUP: usize = 1000;
/// Bytes of a `GroupInfo` besides its context and its tree.
pub const GROUP_INFO_EXTENSIONS: usize = 4 * 1024;
/// Session tokens of one device; a further one takes the place of the oldest.
pub const TOKENS_PER_DEVICE: u32 = 32;
/// Key packages a device is asked to keep in stock.
pub const KEY_PACKAGES_WANTED: u32 = 50;
/// Key packages a device may keep in stock.
pub const KEY_PACKAGES_PER_DEVICE: u32 = 200;
/// How long a published init key is remembered: longer than a key package with it could be valid (190 days).
pub const INIT_KEY_DAYS: u64 = 200;
/// Key packages of one upload.
pub const KEY_PACKAGES_PER_REQUEST: usize = 100;
/// Accounts of one claim.
pub const ACCOUNTS_PER_CLAIM: usize = 64;
/// Devices named in one claim, or handed out by it.
pub const DEVICES_PER_CLAIM: usize = 256;
/// Claims of one device within the life of a claim (24 h).
pub const CLAIMS_PER_DEVICE: u32 = 1024;
/// Key packages of one device that another one may hold claimed and not redeemed.
pub const CLAIMS_PER_TARGET: u32 = 64;
/// Key packages of one device that a stranger may hold claimed and not redeemed.
pub const STRANGERS_CLAIMS_PER_TARGET: u32 = 16;
/// Accounts that one account may have written to first, or hold key packages of, without being accepted yet.
pub const REQUESTS_PER_CLAIMER: usize = 128;
/// Accounts whose requests one account may have open.
pub const REQUESTS_PER_TARGET: usize = 256;
/// Groups that somebody who is not accepted may add one account to.
pub const STRANGERS_GROUPS_PER_TARGET: u32 = 8;
/// Relations that one account may have. The requests of others may go beyond it by their own bound.
pub const RELATIONS_PER_ACCOUNT: usize = 10_000;
/// Relations of one page.
pub const RELATIONS_PER_PAGE: usize = 256;
/// Relations that one push tells.
pub const RELATIONS_PER_PUSH: usize = 64;
/// Bytes of a handshake message that explain one more node, extension, proposal, secret or ciphertext in it, beyond what a
/// full group needs: openmls makes each of them a struct before it looks at any.
pub const BYTES_PER_ITEM: usize = 96;
/// Bytes of one key package.
pub const KEY_PACKAGE: usize = 4 * 1024;
/// Application messages of one commit bundle.
pub const MESSAGES_PER_BUNDLE: usize = 8;
/// The shortest life of a message with an end.
pub const TTL_SECONDS_MIN: u64 = 60;
/// Bytes of commits that one group keeps for those who are away; beyond it the oldest go.
pub const COMMIT_BYTES_PER_GROUP: u64 = 64 * 1024 * 1024;
/// Bytes of the filter that knows which messages were sent before, at most: good for some ten million messages.
pub const LEDGER_FILTER_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of one proposal.
pub const PROPOSAL: usize = 8 * 1024;
/// Devices of an account that are not revoked, pending ones included.
pub const DEVICES_PER_ACCOUNT: u32 = 64;
/// Devices of one account that wait for their approval: who knows the password alone cannot fill the account.
pub const PENDING_DEVICES_PER_ACCOUNT: u32 = 8;
/// Devices that an account ever had, revoked ones included.
pub const DEVICES_EVER_PER_ACCOUNT: u32 = 1024;
/// Revoked devices that are listed, the latest.
pub const REVOKED_DEVICES_LISTED: u32 = 64;
/// Manifests of one account.
pub const MANIFESTS_PER_ACCOUNT: u64 = 1024;
/// Manifests of one page.
pub const MANIFESTS_PER_PAGE: usize = 64;
/// Groups of one page.
pub const GROUPS_PER_PAGE: usize = 256;
/// Accounts, devices or sessions of one page of an operator's list.
pub const OPERATOR_PAGE: usize = 256;
/// Hex digits by which an operator names a device at least.
pub const DEVICE_ID_PREFIX: usize = 8;
/// How old the numbers of the store may be that metrics tell.
pub const CENSUS_AGE: Duration = Duration::from_secs(30);
/// Bytes of a server notice.
pub const NOTICE: usize = 4 * 1024;
/// Notices that may be on their way into logs at once.
pub const NOTICES_OPEN: u64 = 16;
/// Devices whose logs get a notice in one transaction: a few milliseconds of the writer.
pub const NOTICE_BATCH: usize = 256;
/// How long a notice's sender waits for it to reach everybody; the rest is done behind.
pub const NOTICE_PATIENCE: Duration = Duration::from_secs(20);
/// Length of a password in bytes.
pub const PASSWORD: std::ops::RangeInclusive<usize> = 8..=256;
/// Uses of one invite.
pub const INVITE_USES: std::ops::RangeInclusive<u32> = 1..=10_000;
/// Life of an invite in seconds.
pub const INVITE_SECONDS: std::ops::RangeInclusive<u64> = 60..=365 * 24 * 3600;
/// Groups whose validated public state is kept in memory.
pub const CACHED_GROUPS: usize = 256;
/// How long a member who was asked to commit for its group has before the next one is asked.
pub const NOMINATION_LEASE: Duration = Duration::from_secs(10);
/// How long members of a group that was suspended by a restore have, from the first one's word on, to bring a newer state
/// than the one that some of them agree on.
pub const REVIVAL_WINDOW: Duration = Duration::from_secs(5);
/// How long they have to agree on any. A group of which too few were there by then is reset.
pub const REVIVAL_PATIENCE: Duration = Duration::from_mins(10);
/// When members ask again meanwhile.
pub const REVIVAL_RETRY: Duration = Duration::from_secs(1);
/// Epochs that a group may have gone on between a backup and its restore.
pub const REVIVAL_EPOCHS: u64 = 1 << 32;
/// Accounts that one connection watches.
pub const WATCHED_ACCOUNTS: usize = 512;
/// How long a device that is gone is still shown, in case it comes back.
pub const PRESENCE_GRACE: Duration = Duration::from_secs(1);
/// To what "last seen" is rounded down, in milliseconds.
pub const LAST_SEEN_STEP_MS: u64 = 5 * 60 * 1000;
/// Watchers whose relations are looked at again in one go.
pub const DOUBTS_PER_TURN: usize = 256;
/// Accounts whose "last seen" is written in one go.
pub const LAST_SEEN_PER_TURN: usize = 1024;
/// Accounts of a group in which receipts are told; larger groups have none.
pub const RECEIPT_ACCOUNTS: usize = 64;
/// Members with news of receipts that wait for one session.
pub const WAITING_RECEIPTS: usize = 1024;
/// Life of a ticket.
pub const TICKET: Duration = Duration::from_secs(30);

/// Seconds' worth of anything that may come at once.
pub const AT_ONCE_SECONDS: u32 = 20;
/// How many times as much as one device an account may do with all its devices.
pub const ACCOUNT_SHARE: u32 = 4;
/// How many times as much as one device may be done in one group by all its members.
pub const GROUP_SHARE: u32 = 8;
/// What a heavy request counts for.
pub const HEAVY: u32 = 10;
/// Bytes of a message that count as a further one.
pub const MESSAGE_UNIT: usize = 16 * 1024;
/// Devices, accounts, addresses or groups of which is remembered what they have done of late, each.
pub const PURSES_PER_SHELF: usize = 65_536;
/// Requests that a connection may have refused as `rate_limited`, with none done between, before it is closed with 4008.
pub const LIMITED_IN_A_ROW: u32 = 1000;
/// Groups in which one connection's messages are held up by one that was refused for now.
pub const HELD_GROUPS: usize = 64;
/// How long they are, if that one is not sent again.
pub const HOLD: Duration = Duration::from_mins(1);

/// Bytes that all connections together hold of requests being handled and of what their sockets have not taken; a quarter of
/// the memory there is, where that is less.
pub const HELD_IN_ALL: usize = 256 * 1024 * 1024;
/// Bytes that one connection may hold while that is exceeded, before it is not read any more and fed nothing but answers.
pub const HELD_WHEN_TIGHT: usize = 64 * 1024;
/// Bytes of a frame that a connection may have received before it needs one of the places for large ones.
pub const LARGE_FRAME: usize = 64 * 1024;
/// Large frames that are received at once; others wait, unread.
pub const LARGE_FRAMES: usize = 64;
/// How long a large frame may take from when it has its place.
pub const LARGE_FRAME_DEADLINE: Duration = Duration::from_mins(1);
/// How often it is looked how much memory the process has.
pub const MEMORY_LOOK: Duration = Duration::from_secs(1);
/// Connections that are there before newcomers are turned away because memory is short: whatever it is that takes it, a few
/// people are served.
pub const SERVED_WHEN_SHORT: usize = 16;

/// Bytes of the data directory that are given up when the disk is full, so that acknowledging and deleting go on.
pub const BALLAST: u64 = 4 << 20;
/// Length of the write-ahead log from which it is copied into the database as it grows.
pub const WAL_PASSIVE: u64 = 16 << 20;
/// Length from which readers wait for a moment, so that it can be written from its start again.
pub const WAL_RESTART: u64 = 32 << 20;
/// Length from which nothing is taken that stores something.
pub const WAL_GROWTH_REFUSED: u64 = 48 << 20;
/// Length from which nothing is taken at all: it never exceeds 64 MiB.
pub const WAL_ALL_REFUSED: u64 = 60 << 20;
/// Accounts, devices, groups and heads of logs that the store knows by heart, of each.
pub const KNOWN_BY_HEART: usize = 16_384;
/// Guesses at one name's password that are checked at once; nobody enrols more devices in one moment.
pub const GUESSES_AT_ONCE: u32 = 4;
/// Ended exchange sessions whose end is told again to whoever asks.
pub const FAREWELLS: NonZeroUsize = NonZeroUsize::new(1024).expect("1024 is not 0");
/// How long one read of the store may take before it is given up, so that it does not keep the log from being reused.
pub const READ_DEADLINE: Duration = Duration::from_secs(10);

/// How often something may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_second: u32,
    /// After a rest.
    pub at_once: u32,
}

impl Rate {
    const fn times(per_second: u32, share: u32) -> Self {
        let per_second = per_second.saturating_mul(share);
        Self { per_second, at_once: per_second.saturating_mul(AT_ONCE_SECONDS) }
    }

    fn announced(self) -> v1::Rate {
        v1::Rate { per_second: self.per_second, at_once: self.at_once }
    }
}

/// What an operator may set.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest frame after authentication.
    pub frame: usize,
    /// The largest application message.
    pub application_message: usize,
    /// Signals of one connection that are relayed in a second, as a number; twice as many may come at once.
    pub signals_per_second: usize,
    /// The longest life of a message with an end: as long as any is kept.
    pub ttl_seconds: u64,
    /// Key packages a device is asked to keep in stock: the house's number but in simulations.
    pub key_packages_wanted: u32,
    /// Likewise the house's.
    pub flow: Flow,
    /// Messages of one device in a second.
    pub messages_per_second: u32,
    /// Other requests of one device in a second; heavy ones count for [`HEAVY`].
    pub requests_per_second: u32,
    /// Sign-ins and sign-ups of one address in a second.
    pub sign_ins_per_second: u32,
}

/// How much may be under way on one connection. The defaults are the house's; a simulation makes them tiny, so that every
/// bound is met.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// [`REQUESTS_IN_FLIGHT`].
    pub requests_in_flight: usize,
    /// [`BYTES_IN_FLIGHT`].
    pub bytes_in_flight: usize,
    /// [`ENTRIES_CREDIT`].
    pub entries_credit: usize,
    /// [`ENTRIES_PER_PAGE`].
    pub entries_per_page: usize,
    /// [`BYTES_PER_PAGE`].
    pub bytes_per_page: usize,
    /// [`SEND_BUFFER`].
    pub send_buffer: usize,
    /// [`SEND_BUFFER_HARD`].
    pub send_buffer_hard: usize,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            requests_in_flight: REQUESTS_IN_FLIGHT,
            bytes_in_flight: BYTES_IN_FLIGHT,
            entries_credit: ENTRIES_CREDIT,
            entries_per_page: ENTRIES_PER_PAGE,
            bytes_per_page: BYTES_PER_PAGE,
            send_buffer: SEND_BUFFER,
            send_buffer_hard: SEND_BUFFER_HARD,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame: 1024 * 1024,
            application_message: 64 * 1024,
            signals_per_second: 100,
            ttl_seconds: 30 * 24 * 3600,
            key_packages_wanted: KEY_PACKAGES_WANTED,
            flow: Flow::default(),
            messages_per_second: 200,
            requests_per_second: 200,
            sign_ins_per_second: 100,
        }
    }
}

impl Limits {
    /// How often one device may send messages, or ask for anything else.
    #[must_use]
    pub fn of_device(&self, messages: bool) -> Rate {
        Rate::times(self.per_second(messages), 1)
    }

    /// How often all devices of an account may.
    #[must_use]
    pub fn of_account(&self, messages: bool) -> Rate {
        Rate::times(self.per_second(messages), ACCOUNT_SHARE)
    }

    /// How often all members of a group may send there, or change it.
    #[must_use]
    pub fn in_group(&self, messages: bool) -> Rate {
        Rate::times(self.per_second(messages), GROUP_SHARE)
    }

    /// How often somebody from one address may come in.
    #[must_use]
    pub fn sign_ins(&self) -> Rate {
        Rate::times(self.sign_ins_per_second, 1)
    }

    fn per_second(&self, messages: bool) -> u32 {
        if messages { self.messages_per_second } else { self.requests_per_second }
    }

    /// As `Hello` announces them.
    #[must_use]
    pub fn announced(&self) -> v1::Limits {
        let number = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        v1::Limits {
            frame_before_authentication: number(FRAME_BEFORE_AUTHENTICATION),
            frame: number(self.frame),
            application_message: number(self.application_message),
            leaves_per_group: number(LEAVES_PER_GROUP),
            requests_in_flight: number(self.flow.requests_in_flight),
            bytes_in_flight: number(self.flow.bytes_in_flight),
            entries_credit: number(self.flow.entries_credit),
            key_packages_per_device: KEY_PACKAGES_PER_DEVICE,
            signal: number(SIGNAL),
            signals_per_second: number(self.signals_per_second),
            rates: Some(v1::Rates {
                messages_of_device: Some(self.of_device(true).announced()),
                messages_of_account: Some(self.of_account(true).announced()),
                messages_in_group: Some(self.in_group(true).announced()),
                requests_of_device: Some(self.of_device(false).announced()),
                requests_of_account: Some(self.of_account(false).announced()),
                requests_in_group: Some(self.in_group(false).announced()),
                sign_ins_of_address: Some(self.sign_ins().announced()),
            }),
        }
    }
}

const _: () = assert!(BYTES_PER_PAGE <= SEND_BUFFER && SEND_BUFFER < SEND_BUFFER_HARD, "a page fits the send buffer");
const _: () = assert!(SIGNAL_BUFFER < SEND_BUFFER && WAITING_SIGNALS_PER_SENDER <= WAITING_SIGNALS, "signals go first");
const _: () = assert!(DEVICES_PER_CLAIM * KEY_PACKAGE <= LARGEST_ANSWER, "a claim's packages fit an answer");
const _: () = assert!(BYTES_PER_PAGE <= ENTRIES_CREDIT, "a page fits the credit");
const _: () = assert!(WATCHED_ACCOUNTS < FIELDS_PER_REQUEST, "a watch list decodes");
const _: () = assert!((WATCHED_ACCOUNTS + WAITING_RECEIPTS) * 128 < SEND_BUFFER, "all that waits fits the send buffer");
const _: () =
    assert!(POSITIONS <= FIELDS_PER_REQUEST && KEY_PACKAGES_PER_REQUEST <= FIELDS_PER_REQUEST, "allowed batches decode");

//! `sovereign user`: who may use this server.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sovereign_proto::v1::{
    AccountState, AccountSummary, DeleteAccountRequest, ListAccountsRequest, ResetPasswordRequest, SetAccountEnabledRequest,
    ShowAccountRequest, ShowAccountResponse,
};
use zeroize::Zeroizing;

use super::{
    compose, confirm, device,
    failure::{Exit, Failure},
    listing::{self, Listing, ago},
    operator,
};
use crate::config::Config;

/// Bytes of a password file.
const PASSWORD_FILE_MAX: u64 = 4096;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List every account by name.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show one account with its devices.
    Show {
        /// The account's username.
        username: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Cut the account's connections and refuse its sign-ins; its messages stay.
    Disable {
        /// The account's username.
        username: String,
    },
    /// Let a disabled account in again.
    Enable {
        /// The account's username.
        username: String,
    },
    /// Give the account a new password, and print it once. Every session ends.
    ///
    /// A password only enrols a device, which then waits until another device of the account approves it. Somebody who
    /// has lost every device gets no way in by this: make them a new account.
    ResetPassword {
        /// The account's username.
        username: String,
        /// Take the password from the first line of this file (- for standard input) instead of making one.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Delete the account for good. Nobody else can take its name.
    ///
    /// Its connections are cut, its devices revoked, its password, tokens and key packages erased. What it said stays for
    /// the others, whose devices are asked to remove it from their groups. To shut somebody out for a while, use disable.
    Delete {
        /// The account's username.
        username: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

pub(super) fn run(verb: Verb, config: &Config) -> Result<(), Failure> {
    match verb {
        Verb::List { json } => list(config, json),
        Verb::Show { username, json } => show(config, username, json),
        Verb::Disable { username } => set_enabled(config, username, false),
        Verb::Enable { username } => set_enabled(config, username, true),
        Verb::ResetPassword { username, password_file } => reset_password(config, username, password_file.as_deref()),
        Verb::Delete { username, yes } => delete(config, username, yes),
    }
}

fn list(config: &Config, json: bool) -> Result<(), Failure> {
    let now = compose::clock(config).now_ms();
    let mut listing = Listing::new(json, &["NAME", "STATE", "DEVICES", "PENDING", "CONNECTED", "LAST SEEN", "ROLE"]);
    operator::ask_on(config, |operator| {
        let mut after = String::new();
        loop {
            let page = operator.ask(ListAccountsRequest { after, limit: 0 })?;
            after = page.accounts.last().map(|account| account.username.clone()).unwrap_or_default();
            for account in page.accounts {
                listing.row(cells(&account, now), object(&account));
            }
            if !page.more {
                return Ok(());
            }
        }
    })?;
    listing.print()
}

fn show(config: &Config, username: String, json: bool) -> Result<(), Failure> {
    let now = compose::clock(config).now_ms();
    let ShowAccountResponse { account, devices, groups } = operator::call(config, ShowAccountRequest { username })?;
    let account = account.unwrap_or_default();
    if json {
        let mut object = object(&account);
        object["groups"] = groups.into();
        object["devices"] = devices.iter().map(device::object).collect();
        return listing::print(&format!("{object}\n"));
    }
    let mut facts = Listing::new(false, &[&account.username]);
    let mut fact = |name: &str, value: String| facts.row([format!("  {name}"), value], Value::Null);
    fact("state", state(&account).to_owned());
    fact("id", HEXLOWER.encode(&account.account_id));
    fact("role", role(&account).to_owned());
    fact("password", if account.has_password { "set" } else { "none" }.to_owned());
    fact("joined", ago(now, account.created_at_ms));
    fact("last seen", ago(now, account.last_seen_ms));
    fact("connections", account.connections.to_string());
    fact("groups", groups.to_string());
    fact("waiting", format!("{} of its messages, for others", listing::size(account.stored_bytes)));
    facts.print()?;
    listing::print("\n")?;
    let mut listing = device::listing(false);
    for device in &devices {
        listing.row(device::cells(device, now), Value::Null);
    }
    listing.print()
}

fn set_enabled(config: &Config, username: String, enabled: bool) -> Result<(), Failure> {
    operator::call(config, SetAccountEnabledRequest { username, enabled })?;
    eprintln!("{}", if enabled { "enabled" } else { "disabled" });
    Ok(())
}

fn reset_password(config: &Config, username: String, file: Option<&Path>) -> Result<(), Failure> {
    let given = file.map(read_password).transpose()?;
    let password = given.as_ref().map(|password| password.to_string()).unwrap_or_default();
    let made = Zeroizing::new(operator::call(config, ResetPasswordRequest { username, password })?.password);
    if given.is_none() {
        listing::print(&Zeroizing::new(format!("{}\n", made.as_str())))?;
    }
    eprintln!("the password is set; every session of the account has ended");
    Ok(())
}

fn delete(config: &Config, username: String, yes: bool) -> Result<(), Failure> {
    let ShowAccountResponse { account, groups, .. } = operator::call(config, ShowAccountRequest { username: username.clone() })?;
    let account = account.unwrap_or_default();
    let question = format!(
        "{} has {} devices and is in {groups} groups. Deleting it cannot be undone.",
        account.username,
        account.devices_active + account.devices_pending
    );
    confirm::irreversible(yes, &question, &account.username)?;
    let deleted = operator::call(config, DeleteAccountRequest { username })?;
    eprintln!(
        "deleted; {} devices are revoked, and the members of {} groups are asked to remove them",
        deleted.devices, deleted.groups
    );
    Ok(())
}

fn read_password(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: std::io::Error| Failure::io(path.display(), &error);
    let mut text = Zeroizing::new(String::new());
    if path == Path::new("-") {
        std::io::stdin().take(PASSWORD_FILE_MAX).read_to_string(&mut text).map_err(failed)?;
    } else {
        std::fs::File::open(path).map_err(failed)?.take(PASSWORD_FILE_MAX).read_to_string(&mut text).map_err(failed)?;
    }
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(line) => Ok(Zeroizing::new(line.to_owned())),
        None => Err(Failure::new(Exit::Usage, format_args!("{}: there is no password on its first line", path.display()))),
    }
}

fn state(account: &AccountSummary) -> &'static str {
    match account.state() {
        AccountState::Enabled => "enabled",
        AccountState::Disabled => "disabled",
        AccountState::Deleted => "deleted",
        AccountState::Unspecified => "unknown",
    }
}

fn role(account: &AccountSummary) -> &'static str {
    if account.administrator { "administrator" } else { "member" }
}

fn cells(account: &AccountSummary, now: u64) -> [String; 7] {
    [
        account.username.clone(),
        state(account).to_owned(),
        account.devices_active.to_string(),
        account.devices_pending.to_string(),
        account.connections.to_string(),
        ago(now, account.last_seen_ms),
        role(account).to_owned(),
    ]
}

fn object(account: &AccountSummary) -> Value {
    json!({
        "username": account.username,
        "account_id": HEXLOWER.encode(&account.account_id),
        "state": state(account),
        "administrator": account.administrator,
        "has_password": account.has_password,
        "created_at_ms": account.created_at_ms,
        "last_seen_ms": account.last_seen_ms,
        "devices_active": account.devices_active,
        "devices_pending": account.devices_pending,
        "connections": account.connections,
        "stored_bytes": account.stored_bytes,
    })
}

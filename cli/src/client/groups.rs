//! Which group is meant, and what it is called.

use sovereign_client::{Client, GroupInfo};

use super::{exit, hex, patience::settle};
use crate::exit::{self as codes, Exit};

/// The group of an id, of the beginning of an id (4 digits at least), or of a name that only one group has. One that is
/// not known yet may come with what the server still has for this device.
pub(crate) async fn find_group(client: &Client, wanted: &str) -> Result<[u8; 32], Exit> {
    let own = client.account().username;
    let groups = client.groups().await.map_err(|error| exit(&error))?;
    if let Ok(group) = choose(&groups, wanted, &own) {
        return Ok(group);
    }
    client.wait_live().await.map_err(|error| exit(&error))?;
    settle(client).await;
    let groups = client.groups().await.map_err(|error| exit(&error))?;
    choose(&groups, wanted, &own)
}

fn choose(groups: &[GroupInfo], wanted: &str, own: &str) -> Result<[u8; 32], Exit> {
    let lower = wanted.to_ascii_lowercase();
    let is_id = lower.len() >= 4 && lower.bytes().all(|byte| byte.is_ascii_hexdigit());
    let ids = |group: &GroupInfo| [&[group.id], group.former.as_slice()].concat();
    let by_id = |group: &&GroupInfo| is_id && ids(group).iter().any(|id| hex(id).starts_with(&lower));
    let by_name = |group: &&GroupInfo| title(group, own) == wanted;
    let mut found: Vec<&GroupInfo> = groups.iter().filter(by_name).collect();
    if found.is_empty() {
        found = groups.iter().filter(by_id).collect();
    }
    match found[..] {
        [one] => Ok(one.id),
        [] => Err(Exit::failed(codes::FAILED, format!("there is no group {wanted:?} here; `sov groups` lists them"))),
        _ => Err(Exit::failed(
            codes::FAILED,
            format!("{wanted:?} is the beginning or the name of several groups; use more of the id"),
        )),
    }
}

/// What a group is called here: its name, or its other members.
pub(crate) fn title(group: &GroupInfo, own: &str) -> String {
    if let Some(name) = &group.name {
        return name.clone();
    }
    let mut others: Vec<&str> = group.members.iter().map(|member| member.username.as_str()).filter(|name| *name != own).collect();
    others.sort_unstable();
    if others.is_empty() { own.to_owned() } else { others.join(", ") }
}

/// The title of a group by its id; the beginning of the id where it is not known.
pub(crate) async fn title_of(client: &Client, group: &[u8; 32]) -> Result<String, Exit> {
    let own = client.account().username;
    let groups = client.groups().await.map_err(|error| exit(&error))?;
    Ok(groups
        .iter()
        .find(|known| known.id == *group || known.former.contains(group))
        .map_or_else(|| hex(&group[..4]), |known| title(known, &own)))
}

#[cfg(test)]
mod tests {
    use sovereign_client::GroupState;

    use super::*;

    fn group_of(id: u8, name: Option<&str>, members: &[&str]) -> GroupInfo {
        let member = |name: &&str| sovereign_client::Member {
            username: (*name).to_owned(),
            account_id: [0; 16],
            devices: 1,
            leaving: false,
        };
        GroupInfo {
            id: [id; 32],
            name: name.map(str::to_owned),
            members: members.iter().map(member).collect(),
            epoch: 1,
            direct: name.is_none(),
            state: GroupState::Active,
            request: false,
            former: vec![[id ^ 0xff; 32]],
        }
    }

    #[test]
    fn groups_are_found_by_id_beginning_and_name() {
        let groups = [
            group_of(0xab, Some("Tea"), &["ann", "bob"]),
            group_of(0xac, Some("Tea"), &["ann", "bob"]),
            group_of(0xad, None, &["ann", "carol", "bob"]),
            group_of(0xae, Some("abab"), &["ann"]),
        ];
        let find = |wanted: &str| choose(&groups, wanted, "ann").map(|id| id[0]).map_err(|exit| exit.code);
        assert_eq!(find(&"ac".repeat(32)), Ok(0xac));
        assert_eq!(find("ADAD"), Ok(0xad));
        assert_eq!(find("bob, carol"), Ok(0xad));
        assert_eq!(find("5454"), Ok(0xab), "a group is found by the one it replaced");
        assert_eq!(find("abab"), Ok(0xae), "a name goes before the beginning of an id");
        assert_eq!(find("Tea"), Err(codes::FAILED));
        assert_eq!(find("aba"), Err(codes::FAILED));
        assert_eq!(find("nothing"), Err(codes::FAILED));
    }
}

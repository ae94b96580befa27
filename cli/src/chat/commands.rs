//! What may be typed behind a slash.

use crate::verbs::presence::Show;

/// A line that is not a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// Talk to these people.
    To(Vec<String>),
    /// Make a group.
    Group {
        name: String,
        with: Vec<String>,
    },
    /// Add people to this group.
    Add(Vec<String>),
    /// Remove people from this group.
    Remove(Vec<String>),
    /// Leave this group.
    Leave,
    /// Call this group something else.
    Rename(String),
    /// Who is in this group.
    Members,
    /// Let a stranger in: the one of this conversation, or the one named.
    Accept(Option<String>),
    /// Hear nothing of somebody any more.
    Block(Option<String>),
    /// Forget a relation; takes a block back.
    Forget(String),
    /// What others see of the own presence.
    Appear(Show),
    Help,
    Quit,
}

/// Reads a line that begins with a slash; `Err` says what is wrong with it.
pub(super) fn parse(line: &str) -> Result<Typed, String> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let one = || (!rest.is_empty()).then(|| rest.trim_start_matches('@').to_lowercase());
    let needs = |what: &str| format!("{word} needs {what}");
    match word {
        "/to" => names(rest).map(Typed::To).ok_or_else(|| needs("a name: /to bob")),
        "/group" => {
            let (name, with) = match rest.rsplit_once(" with ") {
                Some((name, with)) => (name.trim(), names(with).unwrap_or_default()),
                None => (rest, Vec::new()),
            };
            match name {
                "" => Err(needs("a name: /group Tea club with bob, carol")),
                name => Ok(Typed::Group { name: name.to_owned(), with }),
            }
        }
        "/add" => names(rest).map(Typed::Add).ok_or_else(|| needs("names: /add bob, carol")),
        "/remove" => names(rest).map(Typed::Remove).ok_or_else(|| needs("names: /remove bob")),
        "/leave" => Ok(Typed::Leave),
        "/rename" if rest.is_empty() => Err(needs("the new name: /rename Tea club")),
        "/rename" => Ok(Typed::Rename(rest.to_owned())),
        "/members" => Ok(Typed::Members),
        "/accept" => Ok(Typed::Accept(one())),
        "/block" => Ok(Typed::Block(one())),
        "/forget" => one().map(Typed::Forget).ok_or_else(|| needs("a name: /forget bob")),
        "/online" => Ok(Typed::Appear(Show::Online)),
        "/away" => Ok(Typed::Appear(Show::Away)),
        "/hidden" => Ok(Typed::Appear(Show::Hidden)),
        "/help" => Ok(Typed::Help),
        "/quit" => Ok(Typed::Quit),
        other => Err(format!("there is no {other}; /help lists what there is, and // begins a message with a slash")),
    }
}

/// Names between commas or spaces; an @ before one is taken off.
fn names(list: &str) -> Option<Vec<String>> {
    let parts = list.split([',', ' ']).map(|name| name.trim().trim_start_matches('@').to_lowercase());
    let names: Vec<String> = parts.filter(|name| !name.is_empty()).collect();
    (!names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (line, typed) in [
            ("/to Bob", Typed::To(list(&["bob"]))),
            ("/to @bob, carol", Typed::To(list(&["bob", "carol"]))),
            ("/group Tea with milk with bob carol", Typed::Group { name: "Tea with milk".into(), with: list(&["bob", "carol"]) }),
            ("/group Alone", Typed::Group { name: "Alone".into(), with: Vec::new() }),
            ("/add bob,carol", Typed::Add(list(&["bob", "carol"]))),
            ("/remove bob", Typed::Remove(list(&["bob"]))),
            ("/leave", Typed::Leave),
            ("/rename Cake & tea", Typed::Rename("Cake & tea".into())),
            ("/accept", Typed::Accept(None)),
            ("/block Mallory", Typed::Block(Some("mallory".into()))),
            ("/forget bob", Typed::Forget("bob".into())),
            ("/members", Typed::Members),
            ("/away", Typed::Appear(Show::Away)),
            (" /help ", Typed::Help),
            ("/quit", Typed::Quit),
        ] {
            assert_eq!(parse(line), Ok(typed), "{line}");
        }
        for line in ["/to", "/to ,", "/group", "/add", "/rename ", "/forget", "/nonsense", "/"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}

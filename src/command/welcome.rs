//! What `serve` prints for people: on the first start the links that let them in, later how to get more.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
};

use qrcode::{QrCode, render::unicode::Dense1x2};
use sovereign_proto::v1::{CreateInviteRequest, RegistrationMode};

use super::failure::{Exit, Failure};
use crate::{private_file, requests, server::Server};

const WEEK_SECONDS: u64 = 7 * 24 * 3600;
/// Uses of the first invite.
const FIRST_USES: u32 = 10;
/// Keeps the administrator's link until it is used or expired, for whoever lost the terminal's output.
const SETUP_FILE: &str = "setup-link";

/// What will be printed.
pub(super) struct Welcome {
    text: String,
    invite: Option<String>,
}

/// Makes the links of a first start. On later ones a spent setup link is forgotten.
pub(super) async fn text(server: &Server, data: &Path, first_start: bool) -> Result<Welcome, Failure> {
    let data_flag = data.display();
    let mut text = String::new();
    let setup = data.join(SETUP_FILE);
    let failed = |error: io::Error| Failure::io(SETUP_FILE, &error);
    if server.settings.policy.registration_mode() == RegistrationMode::Closed {
        // No link would let anybody in, the administrator's included.
        let text = format!(
            "\nNobody can sign up: registration_mode is \"closed\". To let people in, set it to \"invite\", start again, and run\n  \
             sovereign invite create --data {data_flag}           (--admin for the administrator's own link)\n"
        );
        return Ok(Welcome { text, invite: None });
    }
    let invite = if first_start {
        let invite = link(server, FIRST_USES, false).await?;
        let administrator = link(server, 1, true).await?;
        private_file::write(&setup, format!("{administrator}\n").as_bytes()).map_err(failed)?;
        let kept = setup.display();
        write!(text, "\nBecome the administrator (one use, 7 days; kept in {kept} meanwhile):\n  {administrator}\n")
            .expect("a String takes every write");
        Some(invite)
    } else {
        if !setup_is_open(server).await {
            private_file::remove(&setup).map_err(failed)?;
        }
        None
    };
    write!(text, "\nMore invites:  sovereign invite create --data {data_flag}\n").expect("a String takes every write");
    Ok(Welcome { text, invite })
}

impl Welcome {
    /// Prints it. That nobody reads standard output is no error.
    pub(super) fn print(&self, url: &str) {
        let mut text = format!("Sovereign {} is ready at {url}\n", env!("CARGO_PKG_VERSION"));
        if let Some(invite) = &self.invite {
            write!(text, "\nInvite people ({FIRST_USES} uses, 7 days):\n  {invite}\n").expect("a String takes every write");
            if io::stdout().is_terminal() {
                text.push_str(&qr(invite));
            }
        }
        text.push_str(&self.text);
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }
}

async fn link(server: &Server, uses: u32, administrator: bool) -> Result<String, Failure> {
    let request = CreateInviteRequest { uses, expires_in_seconds: WEEK_SECONDS, administrator };
    let created = requests::new_invite(server, &request).await;
    created.map(|created| created.link).map_err(|refusal| Failure::new(Exit::Io, refusal.into_failure().message))
}

/// Whether somebody may still use a setup link; if that cannot be said now, yes.
async fn setup_is_open(server: &Server) -> bool {
    let now = server.clock.now_ms();
    server.store.invites().await.map_or(true, |invites| {
        invites.iter().any(|invite| invite.administrator && !invite.revoked && invite.uses_left > 0 && invite.expires_at > now)
    })
}

/// The link as a picture of half blocks; nothing if it is too long for one.
fn qr(link: &str) -> String {
    QrCode::new(link).map_or_else(|_| String::new(), |code| format!("\n{}\n", code.render::<Dense1x2>().quiet_zone(true).build()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_fits_a_picture_of_a_terminal() {
        let link =
            format!("https://a-rather-long-host-name.example:65535/join#v=1&c={}&s={1}&p={1}", "C".repeat(26), "s".repeat(43));
        let picture = qr(&link);
        let widths: Vec<usize> = picture.lines().filter(|line| !line.is_empty()).map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0] && *width <= 80), "{widths:?}");
    }
}

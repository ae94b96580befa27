//! `BackUp`: the database is copied while the server works; the operator's verb makes a backup of the copy.

use std::{path::PathBuf, sync::Arc, time::Duration};

use sovereign_proto::v1::{BackUpRequest, BackUpResponse, FailureCode};

use super::Handle;
use crate::{
    caller::Operator,
    refusal::Refusal,
    server::Server,
    store::{CopyCounts, CopyState},
};

/// Name of the copy.
const FILE_NAME: &str = "sovereign.db";
/// How often the progress is told.
const PROGRESS: Duration = Duration::from_millis(500);

impl Handle for BackUpRequest {
    type Caller = Operator;

    async fn handle(self, _: Operator, server: &Arc<Server>) -> Result<BackUpResponse, Refusal> {
        let directory = PathBuf::from(self.directory);
        if !directory.is_absolute() {
            return Err(Refusal::invalid("the directory is no absolute path"));
        }
        let exists = directory.clone();
        if !tokio::task::spawn_blocking(move || exists.is_dir()).await.unwrap_or(false) {
            return Err(Refusal::invalid(
                "the server finds no such directory: name one that it may write to (its service may be confined to its data)",
            ));
        }
        let mut state = server.store.copy_to(&directory.join(FILE_NAME))?;
        let ended = state.wait_for(|state| !matches!(state, CopyState::Running { .. }));
        // What is not complete by then is asked for again.
        let _ = tokio::time::timeout(PROGRESS, ended).await;
        let state = state.borrow().clone();
        match state {
            CopyState::Running { pages, left } => {
                Ok(BackUpResponse { pages, pages_left: left, complete: false, ..BackUpResponse::default() })
            }
            CopyState::Complete(counts) => {
                server.store.forget_copy();
                let CopyCounts { accounts, devices, groups, logs, entries_ever } = counts;
                let (pages, pages_left, complete) = (0, 0, true);
                Ok(BackUpResponse { pages, pages_left, complete, accounts, devices, groups, logs, entries_ever })
            }
            CopyState::Failed(reason) => {
                server.store.forget_copy();
                Err(Refusal::new(FailureCode::Unavailable, format!("the database could not be copied: {reason}")))
            }
        }
    }
}

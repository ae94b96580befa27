//! One task for each group that has something to do: it creates, joins, commits and sends, one step after the other.

use std::{collections::HashMap, sync::Arc};

use futures_util::{StreamExt as _, stream::FuturesOrdered};
use sovereign_proto::{Call as _, v1};

use super::{
    BACKOFF_MS, Engine, Work, lock,
    outbox::{PIPELINE, frozen},
    pause,
    records::{GroupRecord, IntentKind, IntentRecord, Stage},
    remote,
};
use crate::{connection::CallError, error::Error, event::Event, identity::Pin};

/// A wait that is told, in milliseconds.
const NOTICED_MS: u64 = 500;
/// Failures in a row of which the next is told, however short its wait.
const NOTICED_FAILURES: u32 = 3;

/// Groups whose worker runs, and whether it was woken since it last looked.
#[derive(Default)]
pub(super) struct Workers(HashMap<[u8; 32], bool>);

/// What a group needs next.
enum Step {
    Create,
    Revive,
    Submit,
    JoinExternally,
    Verify,
    Commit(IntentRecord),
    Send,
    Rest,
}

impl Engine {
    /// Lets the group's worker look, and starts one where none runs.
    pub(crate) fn wake(self: &Arc<Self>, id: [u8; 32]) {
        let known = lock(&self.workers).0.insert(id, true);
        if known.is_none() {
            let engine = Arc::clone(self);
            self.spawn(async move { engine.work_on(id).await });
        }
    }

    async fn work_on(self: Arc<Self>, id: [u8; 32]) {
        let mut failures = 0;
        loop {
            if self.until_live().await.is_err() {
                break;
            }
            if let Some(woken) = lock(&self.workers).0.get_mut(&id) {
                *woken = false;
            }
            match self.step(&id).await {
                Ok(true) => failures = 0,
                Ok(false) if self.may_rest(&id) => return,
                Ok(false) => {}
                Err(error) => {
                    tracing::debug!(%error, failures, "a step of a group failed");
                    self.tell_delay(&id, &error, failures);
                    failures = if error.is_limited() { 0 } else { failures };
                    pause(BACKOFF_MS, failures, error.retry_after_ms()).await;
                    failures += 1;
                }
            }
        }
        lock(&self.workers).0.remove(&id);
    }

    /// What the server does not take now waits without a word, unless it takes long enough for somebody to wonder.
    fn tell_delay(&self, id: &[u8; 32], error: &Error, failures: u32) {
        let Error::Refused { message, retry_after_ms, .. } = error else { return };
        if *retry_after_ms >= NOTICED_MS || failures >= NOTICED_FAILURES {
            let (group, reason, retry_after_ms) = (*id, message.clone(), *retry_after_ms);
            // Nobody needs to listen.
            let _ = self.events.send(Event::Delayed { group, reason, retry_after_ms });
        }
    }

    /// Ends the worker unless it was woken meanwhile.
    fn may_rest(&self, id: &[u8; 32]) -> bool {
        let mut workers = lock(&self.workers);
        if workers.0.get(id) == Some(&true) {
            return false;
        }
        workers.0.remove(id);
        true
    }

    /// One step; false: there was nothing to do.
    async fn step(self: &Arc<Self>, id: &[u8; 32]) -> Result<bool, Error> {
        match self.next_step(id)? {
            Step::Create => self.create(id).await?,
            Step::Revive => self.revive(id).await?,
            Step::Submit => self.submit(id).await?,
            Step::JoinExternally => self.join_externally(id).await?,
            Step::Verify => self.verify_members(id).await?,
            Step::Commit(intent) => self.commit(id, &intent).await?,
            Step::Send => self.send_all(id).await?,
            Step::Rest => return Ok(false),
        }
        Ok(true)
    }

    fn next_step(self: &Arc<Self>, id: &[u8; 32]) -> Result<Step, Error> {
        self.run(|work| {
            let Some(record) = work.group(id)? else { return Ok(Step::Rest) };
            if record.stage == Stage::Left {
                let gone = Error::GroupClosed("this device is not a member any more".to_owned());
                work.fail_all(id, &gone)?;
                for (_, intent) in work.intents(id)? {
                    work.finish_intent(id, &intent.id, Err(gone.clone()))?;
                }
                return Ok(Step::Rest);
            }
            if record.stage == Stage::Creating {
                return Ok(Step::Create);
            }
            if record.restored && record.stage == Stage::Active {
                // Until the group in its place is here, what waits goes on waiting.
                match (record.successor, record.named_successor) {
                    (Some(_), _) => {}
                    (None, Some(_)) => return Ok(Step::Rest),
                    (None, None) => return Ok(Step::Revive),
                }
            }
            if work.bundle(id)?.is_some() {
                return Ok(Step::Submit);
            }
            if record.frozen && matches!(record.stage, Stage::Active | Stage::Outside) {
                return frozen_step(work, &record);
            }
            match record.stage {
                Stage::Outside => return Ok(Step::JoinExternally),
                Stage::Active => {}
                _ => return Ok(Step::Rest),
            }
            if !record.verified {
                return Ok(Step::Verify);
            }
            let intent = work.intents(id)?.into_iter().next().map(|(_, intent)| intent);
            if let Some(intent) = intent.clone().filter(|intent| intent.first) {
                return Ok(if work.has_unanswered(id)? { Step::Send } else { Step::Commit(intent) });
            }
            if work.has_outgoing(id)? {
                match work.may_send(&record) {
                    Ok(()) => return Ok(Step::Send),
                    Err(error) => work.fail_all(id, &error)?,
                }
            }
            Ok(intent.map_or(Step::Rest, Step::Commit))
        })
    }

    /// Sends the whole outbox, several messages at once and in order.
    async fn send_all(self: &Arc<Self>, id: &[u8; 32]) -> Result<(), Error> {
        let mut answers = FuturesOrdered::new();
        let mut in_flight: Vec<([u8; 16], u64)> = Vec::with_capacity(PIPELINE);
        let mut stale: Option<v1::StaleEpoch> = None;
        // One was refused: those behind it are, too, and go on when all of them have been answered.
        let mut refused = false;
        loop {
            refused &= !in_flight.is_empty();
            if stale.is_none() && !refused {
                for ready in self.run(|work| work.next_messages(id, &in_flight))? {
                    in_flight.push((ready.client_id, ready.epoch));
                    answers.push_back(remote::answer::<v1::SendMessageRequest>(self.remote.begin(ready.request.into_body())));
                }
            }
            let Some(answer) = answers.next().await else { break };
            let (client_id, _) = in_flight.remove(0);
            match answer {
                Ok(accepted) => self.run(|work| work.accepted(id, &client_id, accepted.seq, accepted.time_ms))?,
                Err(CallError::Refused(mut failure)) => {
                    if let Some(v1::failure::Details::StaleEpoch(details)) = failure.details.take() {
                        stale = Some(details);
                        continue;
                    }
                    let error = Error::from(failure);
                    if error.passes() {
                        if refused {
                            continue;
                        }
                        return Err(error);
                    }
                    refused = true;
                    if self.is_frozen_now(id, &error).await? {
                        self.run(|work| work.unsend(id, &client_id))?;
                        continue;
                    }
                    self.run(|work| work.failed(id, &client_id, error))?;
                }
                // Sent again under the same id when there is a connection: the answer will be the first one's.
                Err(CallError::Disconnected) => return Err(CallError::Disconnected.into()),
                Err(error) => self.run(|work| work.failed(id, &client_id, error.into()))?,
            }
        }
        match stale {
            Some(stale) => {
                self.catch_up(id, stale).await?;
                self.run(|work| work.outdate(id))
            }
            None => Ok(()),
        }
    }

    /// Whether a refusal came because the group is frozen.
    async fn is_frozen_now(self: &Arc<Self>, id: &[u8; 32], error: &Error) -> Result<bool, Error> {
        if !matches!(error, Error::Refused { code: v1::FailureCode::Forbidden, .. }) {
            return Ok(false);
        }
        self.list_groups().await?;
        self.run(|work| Ok(work.group(id)?.is_some_and(|record| record.frozen)))
    }

    /// Compares every leaf with the manifests of its account.
    async fn verify_members(self: &Arc<Self>, id: &[u8; 32]) -> Result<(), Error> {
        let leaves = self.run(|work| work.look(id, crate::mls::Group::leaves))?;
        for leaf in &leaves {
            let pin: Option<Pin> = self.run(|work| work.pin(&leaf.of.account))?;
            if !pin.is_some_and(|pin| pin.ever_listed(&leaf.of.device, &leaf.key)) {
                match self.learn(leaf.of.account).await {
                    Err(error) if error.passes() => return Err(error),
                    _ => {}
                }
            }
        }
        self.run(|work| work.judge_members(id, &leaves))
    }
}

/// A frozen group takes nothing new. What was sent before it froze is asked after; what waits goes where the
/// conversation goes on, if it does.
fn frozen_step(work: &mut Work<'_>, record: &GroupRecord) -> Result<Step, Error> {
    let id = &record.id;
    if record.stage == Stage::Active && work.has_unanswered(id)? {
        return Ok(Step::Send);
    }
    match record.successor {
        Some(successor) => work.carry_over(id, &successor)?,
        None => work.fail_all(id, &frozen())?,
    }
    for (_, intent) in work.intents(id)? {
        if intent.kind == IntentKind::Leave {
            return Ok(Step::Commit(intent));
        }
        work.finish_intent(id, &intent.id, Err(frozen()))?;
    }
    Ok(Step::Rest)
}

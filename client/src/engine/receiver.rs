//! Takes what the connection brings, in order.

use std::sync::Arc;

use sovereign_proto::v1::{self, push::Body};
use tokio::sync::mpsc;

use super::{Engine, records::IntentKind};
use crate::{
    connection::{ConnectionEvent, ConnectionState},
    error::Error,
    event::Event,
    mls::DeviceRef,
    model::DeviceState,
};

/// Runs until the connection ends.
pub(crate) async fn receive(engine: Arc<Engine>, mut events: mpsc::Receiver<ConnectionEvent>) {
    while let Some(event) = events.recv().await {
        match event {
            ConnectionEvent::State(state, cause) => {
                tracing::debug!(?state, %cause, "connection");
                let _ = engine.events.send(Event::State { state, cause: cause.clone() });
                engine.state.send_replace((state, cause));
                if state == ConnectionState::Live {
                    engine.on_live();
                }
            }
            ConnectionEvent::SignedIn { session, generation } => engine.on_session(&session, generation),
            ConnectionEvent::Push(push) => {
                // What was not applied is not acknowledged, and comes again.
                if let Err(error) = engine.on_push(push).await {
                    tracing::debug!(%error, "a push was not applied");
                }
            }
        }
    }
}

impl Engine {
    fn on_session(self: &Arc<Self>, session: &v1::Session, generation: u64) {
        if let Err(error) = self.run(|work| work.notice_generation(generation)) {
            tracing::warn!(%error, "the server's generation was not noted");
        }
        if session.device_state() == v1::DeviceState::Active {
            self.on_stock(session.key_package_stock.unwrap_or_default());
            self.appear();
        }
        let version = session.manifest_version;
        let engine = Arc::clone(self);
        self.spawn(async move {
            let Ok((account, known)) = engine.run(|work| {
                let account = work.me().account;
                Ok((account, work.pin(&account)?.map_or(0, |pin| pin.version)))
            }) else {
                return;
            };
            let caught_up = match version.cmp(&known) {
                std::cmp::Ordering::Greater => engine.learn(account).await,
                std::cmp::Ordering::Less => engine.tell_manifests(version).await,
                std::cmp::Ordering::Equal => Ok(()),
            };
            if let Err(error) = caught_up {
                tracing::debug!(%error, "the own manifests were not exchanged");
            }
        });
    }

    /// From here on commits may be made: every group with something to do goes on.
    fn on_live(self: &Arc<Self>) {
        self.refresh_watch();
        let engine = Arc::clone(self);
        self.spawn(async move {
            let woken = engine.run(|work| {
                let groups = work.all_groups()?;
                work.effects.wake.extend(groups.iter().map(|record| record.id));
                Ok(())
            });
            if let Err(error) = woken {
                tracing::warn!(%error, "the groups cannot be read");
            }
            if let Err(error) = engine.accept_all().await {
                tracing::debug!(%error, "acceptances wait");
            }
            for (what, listed) in [("relations", engine.list_relations().await), ("groups", engine.list_groups().await)] {
                if let Err(error) = listed {
                    tracing::debug!(%error, what, "not listed");
                }
            }
            if let Err(error) = engine.resume_receipts().await {
                tracing::debug!(%error, "receipts were not asked for");
            }
        });
    }

    async fn on_push(self: &Arc<Self>, push: Body) -> Result<(), Error> {
        match push {
            Body::Entries(entries) if entries.group_id.is_empty() => self.apply_device(&entries.entries).await,
            Body::Entries(entries) => match entries.group_id.as_ref().try_into() {
                Ok(id) => self.apply(&id, &entries.entries).await,
                Err(_) => Ok(()),
            },
            Body::KeyPackageStock(stock) => {
                self.on_stock(stock);
                Ok(())
            }
            Body::CommitNeeded(needed) => self.on_commit_needed(&needed),
            Body::DeviceStateChanged(changed) => {
                self.on_device_state(changed.device_state());
                Ok(())
            }
            Body::Signal(signal) => self.on_signal(&signal),
            Body::Presence(changed) => self.on_presence(&changed),
            Body::Receipts(changed) => self.on_receipts(&changed),
            Body::RelationChanged(changed) => {
                // Not in the receiver's way: it may ask the server for more.
                let engine = Arc::clone(self);
                self.spawn(async move {
                    if let Err(error) = engine.on_relations(changed).await {
                        tracing::debug!(%error, "relations were not read");
                    }
                });
                Ok(())
            }
            Body::Hello(_) | Body::Live(_) | Body::SessionExpiring(_) | Body::Closing(_) | Body::SignedIn(_) => Ok(()),
        }
    }

    fn on_stock(self: &Arc<Self>, stock: v1::KeyPackageStock) {
        let engine = Arc::clone(self);
        self.spawn(async move {
            let result = engine.keep_stock(stock).await;
            if let Err(error) = &result {
                tracing::debug!(%error, "key packages were not published");
            }
            // The next sign-in tries again what failed for now.
            if !result.as_ref().is_err_and(Error::passes) {
                engine.stocked.send_replace(Some(result));
            }
        });
    }

    /// The server asks this device to commit for the group.
    fn on_commit_needed(self: &Arc<Self>, needed: &v1::CommitNeeded) -> Result<(), Error> {
        let Ok(id) = <[u8; 32]>::try_from(needed.group_id.as_ref()) else { return Ok(()) };
        let devices = |list: &[v1::DeviceRef]| -> Vec<DeviceRef> { list.iter().filter_map(device).collect() };
        let (remove, add) = (devices(&needed.remove), devices(&needed.add));
        self.run(|work| {
            if work.group(&id)?.is_none() {
                return Ok(());
            }
            if !remove.is_empty() {
                work.intend(&id, IntentKind::RemoveDevices(remove), false, true)?;
            }
            if !add.is_empty() {
                work.intend(&id, IntentKind::AddDevices(add), false, true)?;
            }
            Ok(())
        })
    }

    fn on_device_state(self: &Arc<Self>, state: v1::DeviceState) {
        let state = match state {
            v1::DeviceState::Active => DeviceState::Active,
            v1::DeviceState::Revoked => DeviceState::Revoked,
            v1::DeviceState::Pending | v1::DeviceState::Unspecified => DeviceState::Pending,
        };
        let _ = self.events.send(Event::DeviceState(state));
        if state == DeviceState::Active {
            let engine = Arc::clone(self);
            self.spawn(async move {
                if let Err(error) = engine.become_active().await {
                    tracing::debug!(%error, "the first steps after the approval failed");
                }
            });
        }
    }

    /// First steps of an approved device.
    async fn become_active(self: &Arc<Self>) -> Result<(), Error> {
        let account = self.run(|work| Ok(work.me().account))?;
        self.learn(account).await?;
        let stock = self.call(v1::CountKeyPackagesRequest {}).await?.stock.unwrap_or_default();
        self.keep_stock(stock).await?;
        self.stocked.send_replace(Some(Ok(())));
        self.list_groups().await
    }
}

fn device(reference: &v1::DeviceRef) -> Option<DeviceRef> {
    Some(DeviceRef {
        account: reference.account_id.as_ref().try_into().ok()?,
        device: reference.device_id.as_ref().try_into().ok()?,
    })
}

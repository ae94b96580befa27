//! `PublishManifest`: the account approves or revokes devices. Transport is cut at once; the leaves go with the next commits.

use std::sync::Arc;

use prost::Message as _;
use sovereign_proto::{
    manifest::Body,
    v1::{self, Manifest, PublishManifestRequest, PublishManifestResponse, push},
};

use super::{Handle, admission, nomination, presence};
use crate::{
    auth::proof,
    caller::Device,
    ids::DeviceId,
    refusal::{CloseCode, Refusal},
    server::Server,
    store::{NewDevice, NewManifest, PublishOutcome},
};

impl Handle for PublishManifestRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<PublishManifestResponse, Refusal> {
        let manifest = self.manifest.ok_or_else(|| Refusal::invalid("the manifest is missing"))?;
        let account = server.store.account(device.account).await?.ok_or_else(admission::refused)?;
        let newest = server.store.manifests(device.account, account.manifest_version.saturating_sub(1), 1).await?;
        let previous = newest.first().and_then(|bytes| Manifest::decode(bytes.as_slice()).ok());
        let previous = previous.and_then(|manifest| Body::decode(&manifest.body).ok());
        let previous = previous.ok_or_else(|| Refusal::conflict("the account has no manifest to build on"))?;
        let body = proof::check_manifest(&manifest, Some(&previous), &account.identity_key)
            .map_err(|error| Refusal::invalid(error.to_string()))?;
        let listed = |device: &sovereign_proto::manifest::Device| NewDevice {
            device_id: DeviceId(device.device_id),
            device_key: device.device_key,
        };
        let new = NewManifest {
            account_id: device.account,
            version: body.version,
            previous: body.previous,
            hash: Body::hash(&manifest.body),
            manifest: manifest.encode_to_vec(),
            devices: body.devices.iter().map(listed).collect(),
            now: server.clock.now_ms(),
        };
        match server.store.publish_manifest(new).await? {
            PublishOutcome::Published { activated, revoked, groups } => {
                for device in revoked {
                    server.hub.close(device, CloseCode::SessionEnded);
                }
                presence::parted(server, &[device.account]);
                for device in activated {
                    let device_state = v1::DeviceState::Active.into();
                    server.hub.push(device, push::Body::DeviceStateChanged(v1::DeviceStateChanged { device_state }));
                    // Signs in again, as an active device.
                    server.hub.close(device, CloseCode::SessionEnded);
                }
                for group in groups {
                    server.hub.unsettle(group);
                    nomination::raise(server, group).await?;
                }
                Ok(PublishManifestResponse { version: body.version })
            }
            PublishOutcome::Conflict => Err(Refusal::conflict("another manifest came first: fetch it and build on it")),
            PublishOutcome::TooMany => {
                let text = "the account has changed its devices too often: its list of manifests is full";
                Err(Refusal::new(v1::FailureCode::QuotaExceeded, text))
            }
            PublishOutcome::UnknownDevice => {
                Err(Refusal::invalid("the manifest lists a device that is unknown or revoked, or has another key"))
            }
        }
    }
}

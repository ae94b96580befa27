//! The own account's devices: listed, approved, revoked.

use std::sync::Arc;

use sovereign_proto::v1;

use super::{Engine, Stage, records::IntentKind};
use crate::{
    error::Error,
    identity::{PinnedDevice, next},
    mls::DeviceRef,
    model::{DeviceInfo, DeviceState},
};

/// Tries against another device that publishes at the same time.
const TRIES_MAX: usize = 4;

impl Engine {
    /// Every device that the server knows of this account.
    pub(crate) async fn devices(self: &Arc<Self>) -> Result<Vec<DeviceInfo>, Error> {
        let listed = self.call(v1::ListDevicesRequest {}).await?.devices;
        let (me, pin) = self.run(|work| Ok((work.me(), work.pin(&work.me().account)?)))?;
        let info = |device: v1::Device| {
            let device_id: [u8; 16] = device.device_id.as_ref().try_into().ok()?;
            let state = match device.state() {
                v1::DeviceState::Active => DeviceState::Active,
                v1::DeviceState::Revoked => DeviceState::Revoked,
                v1::DeviceState::Pending | v1::DeviceState::Unspecified => DeviceState::Pending,
            };
            Some(DeviceInfo {
                device_id,
                state,
                listed: pin.as_ref().is_some_and(|pin| pin.device(&device_id).is_some()),
                this: device_id == me.device,
                created_at_ms: device.created_at_ms,
                last_seen_ms: device.last_seen_ms,
            })
        };
        Ok(listed.into_iter().filter_map(info).collect())
    }

    /// Lists a pending device in the next manifest, as a signer.
    pub(crate) async fn approve(self: &Arc<Self>, prefix: &str) -> Result<[u8; 16], Error> {
        let device = self.find_device(prefix).await?;
        let added = PinnedDevice { device_id: device.0, key: device.1, signer: true };
        self.publish(|devices| {
            devices.retain(|other| other.device_id != added.device_id);
            devices.push(added.clone());
        })
        .await?;
        Ok(device.0)
    }

    /// Strikes a device from the next manifest, and removes its leaves.
    pub(crate) async fn revoke(self: &Arc<Self>, prefix: &str) -> Result<[u8; 16], Error> {
        let (device_id, _) = self.find_device(prefix).await?;
        let me = self.run(|work| Ok(work.me()))?;
        if device_id == me.device {
            return Err(Error::Usage("a device does not revoke itself: do it from another one".to_owned()));
        }
        self.publish(|devices| devices.retain(|other| other.device_id != device_id)).await?;
        let revoked = DeviceRef { account: me.account, device: device_id };
        self.run(|work| {
            for record in work.all_groups()?.into_iter().filter(|record| record.stage == Stage::Active) {
                if work.look(&record.id, |group| group.leaves().iter().any(|leaf| leaf.of == revoked))? {
                    work.intend(&record.id, IntentKind::RemoveDevices(vec![revoked]), false, true)?;
                }
            }
            Ok(())
        })?;
        Ok(device_id)
    }

    async fn publish(self: &Arc<Self>, change: impl Fn(&mut Vec<PinnedDevice>)) -> Result<(), Error> {
        let account = self.run(|work| Ok(work.me().account))?;
        for _ in 0..TRIES_MAX {
            self.learn(account).await?;
            let manifest = self.run(|work| {
                let me = work.me();
                let pin = work.pin(&me.account)?.ok_or(Error::NoAccount)?;
                if !pin.device(&me.device).is_some_and(|device| device.signer) {
                    return Err(Error::Usage("this device may not sign for the account: use one that may".to_owned()));
                }
                let mut devices = pin.devices.clone();
                change(&mut devices);
                if devices.is_empty() || devices.len() > sovereign_proto::manifest::DEVICES_MAX {
                    return Err(Error::Usage("an account has between 1 and 64 devices".to_owned()));
                }
                Ok(next(&pin, devices, me.device, &self.key, work.now))
            })?;
            match self.call(v1::PublishManifestRequest { manifest: Some(manifest) }).await {
                Ok(_) => return self.learn(account).await,
                Err(Error::Refused { code: v1::FailureCode::Conflict, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Usage("other devices change the list at the same time: try again".to_owned()))
    }

    /// The one device whose id starts so, and its key.
    async fn find_device(&self, prefix: &str) -> Result<([u8; 16], [u8; 32]), Error> {
        let prefix = prefix.trim().to_lowercase();
        let listed = self.call(v1::ListDevicesRequest {}).await?.devices;
        let mut found = listed
            .iter()
            .filter(|device| !prefix.is_empty() && data_encoding::HEXLOWER.encode(&device.device_id).starts_with(&prefix));
        let none = || Error::NotFound(format!("there is no device {prefix}"));
        let device = found.next().ok_or_else(none)?;
        if found.next().is_some() {
            return Err(Error::Usage(format!("several devices start with {prefix}: give more of the id")));
        }
        let id = device.device_id.as_ref().try_into().map_err(|_| none())?;
        Ok((id, device.device_key.as_ref().try_into().map_err(|_| none())?))
    }
}

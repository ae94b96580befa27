//! `PublishKeyPackages`: validated one by one, stored all or none.

use std::sync::Arc;

use bytes::Bytes;
use sovereign_proto::v1::{PublishKeyPackagesRequest, PublishKeyPackagesResponse};

use super::{Handle, answers};
use crate::{
    caller::Device,
    ids::Leaf,
    limits::{KEY_PACKAGE, KEY_PACKAGES_PER_DEVICE, KEY_PACKAGES_PER_REQUEST},
    mls,
    refusal::Refusal,
    server::Server,
    store::{NewKeyPackage, PublishKeyPackagesOutcome},
};

impl Handle for PublishKeyPackagesRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<PublishKeyPackagesResponse, Refusal> {
        if self.key_packages.len() > KEY_PACKAGES_PER_REQUEST {
            return Err(Refusal::too_large("at most 100 key packages a request"));
        }
        let last_resort_at = self.key_packages.len();
        let uploads = self.key_packages.into_iter().map(|bytes| (bytes, false));
        let last_resort = Some((self.last_resort, true)).filter(|(bytes, _)| !bytes.is_empty());
        let uploads: Vec<(Bytes, bool)> = uploads.chain(last_resort).collect();
        if let Some(index) = uploads.iter().position(|(bytes, _)| bytes.len() > KEY_PACKAGE) {
            return Err(Refusal::invalid_item(index, "a key package has at most 4 KiB"));
        }
        let now = server.clock.now_ms();
        let owner = device.leaf();
        let checked = server.groups.work(move || Ok(check_all(uploads, owner, device.key, now))).await?;
        let mut packages = checked.map_err(|(index, refused)| Refusal::invalid_item(index, refused.to_string()))?;
        let last_resort = if packages.len() > last_resort_at { packages.pop() } else { None };
        let outcome = server
            .store
            .publish_key_packages(device.device, packages, last_resort, self.replace, KEY_PACKAGES_PER_DEVICE, now)
            .await?;
        match outcome {
            PublishKeyPackagesOutcome::Published(stock) => {
                Ok(PublishKeyPackagesResponse { stock: Some(answers::stock(server, stock)) })
            }
            PublishKeyPackagesOutcome::Repeated { index } => {
                Err(Refusal::invalid_item(index, "this init key was published before: make a new key package"))
            }
            PublishKeyPackagesOutcome::TooMany => Err(Refusal::new(
                sovereign_proto::v1::FailureCode::QuotaExceeded,
                "more key packages than a device may keep in stock",
            )),
        }
    }
}

type Checked = Result<Vec<NewKeyPackage>, (usize, mls::Refused)>;

fn check_all(uploads: Vec<(Bytes, bool)>, owner: Leaf, key: [u8; 32], now: u64) -> Checked {
    let check = |(index, (bytes, last_resort)): (usize, (Bytes, bool))| {
        let facts = mls::check_key_package(&bytes, owner, &key, now, last_resort).map_err(|refused| (index, refused))?;
        Ok(NewKeyPackage { bytes: bytes.to_vec(), reference: facts.reference, init_key_hash: facts.init_key_hash })
    };
    uploads.into_iter().enumerate().map(check).collect()
}

//! Further devices of an account, and what identity protects.

use super::*;
use crate::identity::{PinnedDevice, next};

#[tokio::test(start_paused = true)]
async fn an_approved_device_comes_in_from_outside_and_learns_the_name() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
    until_agreed(group, &[&a, &b]).await;
    let key = DeviceKey::generate();
    let device = DeviceRef { account: ann.device.account, device: entropy::random() };
    let second = Person::with_vault(&server, "ann", device, &key, None);
    let manifest = a.engine_run(|work| {
        let pin = work.pin(&work.me().account)?.expect("the own one");
        let mut devices = pin.devices.clone();
        devices.push(PinnedDevice { device_id: device.device, key: key.public(), signer: true });
        Ok(next(&pin, devices, work.me().device, &a.engine_key(), 2))
    });
    a.engine_publish(manifest).await;
    let a2 = second.open().await;
    until_agreed(group, &[&a, &b, &a2]).await;
    until("it learns the name", || async { a2.groups().await.expect("readable")[0].name.as_deref() == Some("pair") }).await;
    a2.send(group, "from my phone").await.expect("sent");
    assert_eq!(until_texts(&b, &["from my phone"]).await[0].from, "ann");
    until_texts(&a, &["from my phone"]).await;
}

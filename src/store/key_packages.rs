//! Key packages in stock.

use rusqlite::{Connection, params};

use super::{
    Answer, Store,
    engine::Txn,
    known,
    types::{NewKeyPackage, PublishKeyPackagesOutcome, Stock},
    values::{Blob, Sql, U, uint},
};
use crate::{clock::UnixMs, ids::DeviceId};

impl Store {
    /// Adds validated key packages, all or none. `last_resort` takes the place of the one before; `replace` drops the
    /// stock that was there. More than `max` in stock afterwards are refused.
    pub fn publish_key_packages(
        &self,
        device: DeviceId,
        packages: Vec<NewKeyPackage>,
        last_resort: Option<NewKeyPackage>,
        replace: bool,
        max: u32,
        now: UnixMs,
    ) -> Answer<PublishKeyPackagesOutcome> {
        let bytes = packages.iter().map(|package| package.bytes.len()).sum();
        self.write(bytes, move |txn| txn.publish_key_packages(device, &packages, last_resort.as_ref(), replace, max, now))
    }

    /// What a device has in stock; nothing for a device that is not known.
    pub fn stock(&self, device: DeviceId) -> Answer<Stock> {
        self.read(move |db| match known::device(db, device)? {
            Some(device) => stock(db, device.no),
            None => Ok(Stock::default()),
        })
    }
}

impl Txn<'_> {
    fn publish_key_packages(
        &mut self,
        device: DeviceId,
        packages: &[NewKeyPackage],
        last_resort: Option<&NewKeyPackage>,
        replace: bool,
        max: u32,
        now: UnixMs,
    ) -> Sql<PublishKeyPackagesOutcome> {
        let Some(device) = self.device(device)? else { return Ok(PublishKeyPackagesOutcome::TooMany) };
        let held = if replace { 0 } else { stock(self.db, device.no)?.available };
        if held as usize + packages.len() > max as usize {
            return Ok(PublishKeyPackagesOutcome::TooMany);
        }
        let mut seen = std::collections::HashSet::new();
        for (index, package) in packages.iter().chain(last_resort).enumerate() {
            let used =
                self.db.prepare_cached("SELECT 1 FROM used_init_keys WHERE hash = ?1")?.exists([Blob(package.init_key_hash)])?;
            if used || !seen.insert(package.init_key_hash) {
                return Ok(PublishKeyPackagesOutcome::Repeated { index });
            }
        }
        if replace {
            self.db.prepare_cached("DELETE FROM key_packages WHERE device_no = ?1 AND last_resort = 0")?.execute([device.no])?;
        }
        if last_resort.is_some() {
            self.db.prepare_cached("DELETE FROM key_packages WHERE device_no = ?1 AND last_resort = 1")?.execute([device.no])?;
        }
        for package in packages {
            self.store_key_package(device.no, package, false, now)?;
        }
        if let Some(package) = last_resort {
            self.store_key_package(device.no, package, true, now)?;
        }
        Ok(PublishKeyPackagesOutcome::Published(stock(self.db, device.no)?))
    }

    fn store_key_package(&mut self, device_no: i64, package: &NewKeyPackage, last_resort: bool, now: UnixMs) -> Sql<()> {
        self.db
            .prepare_cached("INSERT INTO used_init_keys (hash, uploaded_at) VALUES (?1, ?2)")?
            .execute(params![Blob(package.init_key_hash), U(now)])?;
        self.db
            .prepare_cached(
                "INSERT INTO key_packages (device_no, last_resort, reference, bytes, uploaded_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![device_no, last_resort, package.reference, package.bytes, U(now)])?;
        Ok(())
    }
}

/// The stock of a device.
pub(super) fn stock(db: &Connection, device_no: i64) -> Sql<Stock> {
    let sql = "SELECT count(*) FILTER (WHERE last_resort = 0), count(*) FILTER (WHERE last_resort = 1),
                      count(*) FILTER (WHERE last_resort = 1 AND used = 1),
                      coalesce(min(uploaded_at) FILTER (WHERE last_resort = 0), 0)
               FROM key_packages WHERE device_no = ?1";
    db.prepare_cached(sql)?.query_one([device_no], |row| {
        Ok(Stock {
            available: row.get(0)?,
            has_last_resort: row.get::<_, u32>(1)? > 0,
            last_resort_used: row.get::<_, u32>(2)? > 0,
            oldest_at: uint(row, 3)?,
        })
    })
}

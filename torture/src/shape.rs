//! How many take part, and how lively they are.

/// A run in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Whole clients.
    pub(crate) persons: u32,
    /// Groups of persons.
    pub(crate) circles: u32,
    /// Persons in each.
    pub(crate) circle_persons: u32,
    /// Light devices in each, which only listen.
    pub(crate) witnesses: u32,
    /// Groups of light devices.
    pub(crate) rings: u32,
    /// Light devices in each.
    pub(crate) ring_devices: u32,
    /// Those of them that send.
    pub(crate) ring_senders: u32,
    /// Messages of one light sender that wait for an answer at most.
    pub(crate) window: usize,
    /// Longest pause of a light sender between two messages, in milliseconds.
    pub(crate) ring_pause_ms: u64,
    /// Longest pause of a person between two deeds, in milliseconds.
    pub(crate) person_pause_ms: u64,
    /// Deeds of a person in a hundred that change a group.
    pub(crate) changes: u64,
    /// Changes by a host in a hundred that let somebody in or put somebody out.
    pub(crate) comings: u64,
}

impl Shape {
    /// Fits a debug build and half a minute.
    pub(crate) const SMALL: Self = Self {
        persons: 5,
        circles: 2,
        circle_persons: 4,
        witnesses: 1,
        rings: 1,
        ring_devices: 6,
        ring_senders: 2,
        window: 4,
        ring_pause_ms: 20,
        person_pause_ms: 120,
        changes: 25,
        comings: 12,
    };

    /// Fits two cores and a release build for a quarter of an hour.
    pub(crate) const LARGE: Self = Self {
        persons: 12,
        circles: 6,
        circle_persons: 5,
        witnesses: 2,
        rings: 4,
        ring_devices: 12,
        ring_senders: 3,
        window: 8,
        ring_pause_ms: 100,
        person_pause_ms: 90,
        changes: 55,
        comings: 12,
    };

    /// Many who come and go, so that half a minute shows what happens to them.
    pub(crate) const RESTLESS: Self = Self { witnesses: 3, comings: 60, ..Self::SMALL };

    /// Little else is done than letting in and putting out.
    pub(crate) const AJAR: Self = Self { witnesses: 3, changes: 50, comings: 100, ..Self::SMALL };

    /// Everybody changes the same group at once.
    pub(crate) const QUARRELSOME: Self = Self { circles: 1, changes: 70, comings: 5, person_pause_ms: 40, ..Self::SMALL };

    /// Light devices in all.
    pub(crate) fn light(&self) -> u32 {
        self.circles * self.witnesses + self.rings * self.ring_devices
    }

    /// Devices in all; persons have the first numbers, then witnesses, then the rings' devices.
    pub(crate) fn devices(&self) -> u32 {
        self.persons + self.light()
    }

    /// The persons of a circle, hosts first; about half of them are hosts.
    pub(crate) fn persons_of(&self, circle: u32) -> Vec<u32> {
        (0..self.circle_persons).map(|place| (circle * 2 + place) % self.persons).collect()
    }

    /// How many of a circle's persons are hosts.
    pub(crate) fn hosts(&self) -> usize {
        (self.circle_persons as usize).div_ceil(2)
    }

    /// The witnesses of a circle.
    pub(crate) fn witnesses_of(&self, circle: u32) -> Vec<u32> {
        let first = self.persons + circle * self.witnesses;
        (first..first + self.witnesses).collect()
    }

    /// The devices of a ring, its founder and senders first.
    pub(crate) fn devices_of(&self, ring: u32) -> Vec<u32> {
        let first = self.persons + self.circles * self.witnesses + ring * self.ring_devices;
        (first..first + self.ring_devices).collect()
    }
}

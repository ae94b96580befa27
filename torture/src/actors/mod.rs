//! Those who take part: whole clients with a vault each, and light devices that see what travels.

mod courier;
mod desk;
mod person;
mod standing;

use std::{collections::HashMap, sync::Arc};

use tokio::sync::watch;

pub(crate) use self::{
    courier::{Courier, Sends},
    person::Person,
    standing::Standing,
};
use crate::{history::History, proxy::Lane};

/// What everybody knows.
pub(crate) struct Town {
    pub(crate) history: Arc<History>,
    /// By device.
    pub(crate) lanes: Vec<Lane>,
    /// By device.
    pub(crate) names: Vec<String>,
    /// By group.
    pub(crate) circles: Vec<Circle>,
    numbers: HashMap<[u8; 32], u32>,
}

/// A group and who has what to do in it.
pub(crate) struct Circle {
    pub(crate) id: [u8; 32],
    /// Persons who are in from the first to the last moment, and may change it; none: nobody changes it.
    pub(crate) hosts: Vec<u32>,
    /// Who comes and goes, by the hosts' or their own will.
    pub(crate) guests: Vec<u32>,
}

/// What is done just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Everybody talks.
    Work,
    /// Nobody begins anything; what is on its way arrives.
    Settle,
    /// Everybody tells what they have, and goes.
    End,
}

/// The phase, as seen by those who obey it.
pub(crate) type Phases = watch::Receiver<Phase>;

impl Town {
    pub(crate) fn new(history: Arc<History>, lanes: Vec<Lane>, names: Vec<String>, circles: Vec<Circle>) -> Self {
        let numbers = (0..).zip(&circles).map(|(g, circle)| (circle.id, g)).collect();
        Self { history, lanes, names, circles, numbers }
    }

    /// The group's number; `None`: it is none of the run's.
    pub(crate) fn number_of(&self, id: &[u8]) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    pub(crate) fn circle(&self, g: u32) -> &Circle {
        &self.circles[g as usize]
    }
}

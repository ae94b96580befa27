//! Stories of several people, disconnections, races and kills, told with real server processes.

mod absence;
mod carriers;
mod crashes;
mod gaps;
mod membership;
mod presence;
mod races;
mod receipts;
mod relations;
mod restarts;
mod secrets;
mod signals;

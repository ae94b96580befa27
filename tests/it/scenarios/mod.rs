//! Stories of several people, disconnections, races and kills, told with real server processes.

mod absence;
mod crashes;
mod gaps;
mod membership;
mod races;
mod relations;
mod restarts;
mod secrets;

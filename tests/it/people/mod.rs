//! The stories as people live them: the real server, the real `sov`, the real client library.

mod absence;
mod beginnings;
mod chat;
mod contacts;
mod conversations;
mod crashes;
mod demo;
mod devices;
mod exchange;
mod exits;
mod groups;
mod limits;
mod lives;
mod load;
mod membership;
mod presence;
mod processes;
mod races;
mod resets;
mod restores;
mod secrets;
mod signals;

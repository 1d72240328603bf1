//! Connections that are dead, full, slow or young: what is needed for one to serve happens by itself, once, and in seconds.

mod clock;
mod dead;
mod first;
mod full;
mod renewal;
mod slow;

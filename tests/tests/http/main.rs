//! The HTTP API, through true daemons.

mod health;

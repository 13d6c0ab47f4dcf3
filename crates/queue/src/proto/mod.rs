//! The beanstalkd protocol: bytes in, commands out; replies in, bytes out. Source: beanstalkd's doc/protocol.txt and the
//! behaviour of version 1.13, quirks included; `docs/protocols/beanstalkd.md` lists them.

pub(crate) mod answer;
mod args;
pub(crate) mod command;
pub(crate) mod input;
pub(crate) mod leased;
pub(crate) mod put_with;
pub(crate) mod reply;
pub(crate) mod yaml;

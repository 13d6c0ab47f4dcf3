//! The node from outside, as somebody has it who types commands and sends requests: what the README promises, run against
//! the real binary, real processes and `examples/shop`.

mod acme;
mod backlog;
mod bad_input;
mod beanstalkd;
mod browser;
mod by_hand;
mod cached;
mod crash;
mod dependencies;
mod first_steps;
mod metrics;
mod ocsp;
mod output;
mod planes;
mod procfile;
mod python;
mod python_http;
mod queue_crash;
mod queue_disk;
mod queue_scale;
mod queue_verbs;
mod rejected;
mod reload;
mod rig;
mod secrets;
mod seen;
mod signals;
mod tls;
mod traffic;
mod traffic_alone;
mod upgrade;
mod upgrade_node;
mod upstreams;

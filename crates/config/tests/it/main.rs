//! Configuration as its users meet it: the files that they write, and what they are told about them.

mod api_errors;
mod documents;
mod folders;
mod manifest_errors;
mod manifests;
mod node;
mod node_errors;
mod procfiles;
mod resolved;
mod router_files;
mod schemas;
mod support;

//! `forebay schema`: for editors and for whoever writes the files by program.

use crate::args::{SchemaArgs, SchemaOf};
use crate::output::{self, Done};

pub(super) fn run(args: &SchemaArgs) -> Done {
    let text = match args.file {
        SchemaOf::Manifest => config::schema::manifest(),
        SchemaOf::Node => config::schema::node(),
        SchemaOf::Router => config::schema::router(),
    };
    Ok(output::line(&text)?)
}

//! `forebay schema`: for editors and for whoever writes the files by program.

use config::FileKind;

use crate::args::{SchemaArgs, SchemaOf};
use crate::output::{self, Done};

pub(super) fn run(args: &SchemaArgs) -> Done {
    let kind = match args.file {
        SchemaOf::Manifest => FileKind::Manifest,
        SchemaOf::Node => FileKind::Node,
        SchemaOf::Router => FileKind::Router,
    };
    Ok(output::line(&config::schema::text(kind))?)
}

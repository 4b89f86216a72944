use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::ChildLimits;

pub(super) fn apply(limits: &ChildLimits) -> io::Result<()> {
    limit(Resource::Core, 0)?;
    if let Some(bytes) = limits.address_space {
        limit(Resource::As, bytes)?;
    }
    if let Some(files) = limits.open_files {
        limit(Resource::Nofile, files)?;
    }
    Ok(())
}

fn limit(resource: Resource, wanted: u64) -> io::Result<()> {
    let value = getrlimit(resource)
        .maximum
        .map_or(wanted, |maximum| wanted.min(maximum));
    Ok(setrlimit(
        resource,
        Rlimit {
            current: Some(value),
            maximum: Some(value),
        },
    )?)
}

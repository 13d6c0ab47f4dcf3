//! The one table from what the queue refuses to what callers of the API are told.

use control::error::{ApiError, Kind};

use crate::names::JobId;

pub(crate) fn unavailable() -> ApiError {
    ApiError::new(Kind::Unavailable, "queue_unavailable", "the queue is not running").hint("`forebay ps` says why")
}

fn draining() -> ApiError {
    ApiError::new(Kind::Unavailable, "queue_draining", "the queue takes no new jobs: it is draining").retry_after(5)
}

pub(crate) fn tube_full(tube: &str) -> ApiError {
    ApiError::new(Kind::Policy, "tube_full", format!("the tube `{tube}` has all the jobs or bytes that it may have"))
        .hint("let workers catch up, or raise jobs_max or bytes_max of the tube")
        .retry_after(1)
}

pub(crate) fn queue_full() -> ApiError {
    ApiError::new(Kind::Unavailable, "queue_full", "all tubes together have all the jobs or bytes that they may have")
        .hint("let workers catch up, or raise queue.jobs_max or queue.bytes_max")
        .retry_after(5)
}

pub(crate) fn memory_full() -> ApiError {
    ApiError::new(Kind::Unavailable, "queue_memory_full", "the queue has all the memory that it may have")
        .hint("let workers catch up, or raise queue.memory_bytes_max or queue.index_bytes_max")
        .retry_after(5)
}

pub(crate) fn disk_full() -> ApiError {
    ApiError::new(Kind::Unavailable, "queue_disk_full", "the queue's disk has no room for more jobs")
        .hint("free some space; jobs can be reserved and finished meanwhile")
        .retry_after(30)
}

pub(crate) fn keys_full() -> ApiError {
    ApiError::new(Kind::Unavailable, "queue_keys_full", "no more keys of jobs can be remembered")
        .hint("put jobs without a key, choose shorter windows, or raise queue.keys_max")
        .retry_after(5)
}

pub(crate) fn too_many_bodies() -> ApiError {
    ApiError::new(Kind::Unavailable, "too_many_bodies", "too many bodies are on their way in").retry_after(1)
}

pub(crate) fn job_too_big(bytes_max: u32) -> ApiError {
    ApiError::new(Kind::TooLarge, "job_too_big", format!("a job may have {bytes_max} bytes"))
        .hint("put a reference to the data, or raise queue.job_bytes_max")
}

pub(crate) fn too_many_tubes() -> ApiError {
    ApiError::new(Kind::Unavailable, "too_many_tubes", "there may be no more tubes")
        .hint("a tube goes when it is empty and nobody uses it; or raise queue.tubes_max")
        .retry_after(5)
}

pub(crate) fn no_such_job(id: JobId) -> ApiError {
    ApiError::new(Kind::NotFound, "no_such_job", format!("there is no job {id} that this can be done to"))
}

pub(crate) fn no_such_tube(tube: &str) -> ApiError {
    ApiError::new(Kind::NotFound, "no_such_tube", format!("there is no tube `{tube}`"))
        .hint("a tube is there while it holds a job or somebody uses it")
}

pub(crate) fn job_reserved(id: JobId) -> ApiError {
    ApiError::new(Kind::Conflict, "job_reserved", format!("job {id} is reserved"))
        .hint("wait until its holder is done or its time has run out")
}

pub(crate) fn lease_lost(id: JobId) -> ApiError {
    ApiError::new(Kind::Conflict, "lease_lost", format!("job {id} is not held under this lease any more"))
        .hint("its time ran out; whoever holds it now does it again")
}

/// An answer that the question cannot have.
pub(crate) fn unexpected(word: &str) -> ApiError {
    match word {
        "INTERNAL_ERROR" => unavailable(),
        "DRAINING" => draining(),
        "OUT_OF_MEMORY" => queue_full(),
        _ => ApiError::new(Kind::Failed, "queue_answer", format!("the queue answered {word}")),
    }
}

//! Jobs coming in: one whose body is the request's, or many as JSON.

use std::time::Duration;

use axum::Json;
use axum::body::HttpBody;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use control::error::{ApiError, Kind};
use control::wire::Listing;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{Deserialize, Serialize};
use stdx::base64;
use stdx::trace::TraceContext;

use super::Api;
use super::asked::{Asked, Params, malformed, tube};
use crate::door::{self, BATCH_JOBS_MAX, JobTerms, NewJob};
use crate::names::JobId;

/// Bytes of a request in JSON; a single job's body may have `job_bytes_max`.
pub(super) const JSON_BYTES_MAX: usize = 8 << 20;

/// Time for a body to come in.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// The answer to one job.
#[derive(Serialize)]
struct Put {
    schema: u32,
    id: u64,
}

/// The answer to one of many: an id or an error.
#[derive(Serialize)]
struct Item {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ApiError>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    jobs: Vec<BatchJob>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchJob {
    body: Option<String>,
    body_base64: Option<String>,
    pri: Option<u32>,
    delay_s: Option<u32>,
    ttr_s: Option<u32>,
    traceparent: Option<String>,
    key: Option<String>,
    window_s: Option<u32>,
    unique: Option<String>,
    order: Option<String>,
    attempts_max: Option<u32>,
    retry_delay_ms: Option<u64>,
}

pub(super) async fn one(
    State(api): State<Api>,
    Path(name): Path<String>,
    asked: Asked,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let tube = tube(&name)?;
    let bytes_max = api.handle.job_bytes_max();
    let body = read(&api, body, bytes_max as usize, || door::job_too_big(bytes_max)).await?;
    let job = NewJob {
        pri: asked.params.pri.unwrap_or(NewJob::PRI),
        delay_s: asked.params.delay_s.unwrap_or(0),
        ttr_s: asked.params.ttr_s.unwrap_or(NewJob::TTR_S),
        trace: trace_of(&headers),
        terms: terms_of(asked.params, &headers)?,
        body,
    };
    let put = api.handle.put(&asked.namespace, tube, vec![job]).await?.pop();
    let JobId(id) = put.unwrap_or_else(|| Err(door::unavailable()))?;
    Ok((StatusCode::CREATED, Json(Put { schema: 1, id })).into_response())
}

pub(super) async fn batch(
    State(api): State<Api>,
    Path(name): Path<String>,
    asked: Asked,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let tube = tube(&name)?;
    let Batch { jobs } = json(&api, body).await?;
    if jobs.is_empty() || jobs.len() > BATCH_JOBS_MAX {
        return Err(malformed(format!("a batch has 1 to {BATCH_JOBS_MAX} jobs, not {}", jobs.len())));
    }
    let trace = trace_of(&headers);
    let jobs = jobs.into_iter().map(|job| job.read(trace)).collect::<Result<Vec<_>, _>>()?;
    let put = api.handle.put(&asked.namespace, tube, jobs).await?;
    let refused = put.iter().filter(|one| one.is_err()).count();
    if refused == put.len()
        && let Some(Err(first)) = put.first()
    {
        // Nothing was taken, and the first reason is as good as any.
        return Err(first.clone());
    }
    let status = if refused == 0 { StatusCode::CREATED } else { StatusCode::MULTI_STATUS };
    let items = put.into_iter().map(|one| match one {
        Ok(JobId(id)) => Item { id: Some(id), error: None },
        Err(error) => Item { id: None, error: Some(error) },
    });
    Ok((status, Json(Listing::new(items.collect()))).into_response())
}

impl BatchJob {
    fn read(self, of_request: Option<TraceContext>) -> Result<NewJob, ApiError> {
        let body = match (self.body, self.body_base64) {
            (Some(text), None) => Bytes::from(text),
            (None, Some(text)) => {
                Bytes::from(base64::decode(&text).ok_or_else(|| malformed("`body_base64` is no base64"))?)
            }
            _ => return Err(malformed("a job has either `body` or `body_base64`")),
        };
        let trace =
            self.traceparent.map(|text| text.parse().map_err(|_| malformed(format!("`{text}` is no trace context"))));
        Ok(NewJob {
            pri: self.pri.unwrap_or(NewJob::PRI),
            delay_s: self.delay_s.unwrap_or(0),
            ttr_s: self.ttr_s.unwrap_or(NewJob::TTR_S),
            trace: trace.transpose()?.or(of_request),
            terms: JobTerms {
                key: self.key,
                window_s: self.window_s,
                unique: self.unique,
                order: self.order,
                attempts_max: self.attempts_max,
                retry_delay_ms: self.retry_delay_ms,
            },
            body,
        })
    }
}

/// What a request asks for its job beside the usual. An `Idempotency-Key` is its key, as it is elsewhere.
fn terms_of(params: Params, headers: &HeaderMap) -> Result<JobTerms, ApiError> {
    let Params { key, window_s, unique, order, attempts_max, retry_delay_ms, .. } = params;
    let of_field =
        headers.get("idempotency-key").map(|field| field.to_str().map(|text| text.trim_matches('"').to_owned()));
    let of_field = of_field.transpose().map_err(|_| malformed("the `Idempotency-Key` is no visible ASCII"))?;
    Ok(JobTerms { key: key.or(of_field), window_s, unique, order, attempts_max, retry_delay_ms })
}

/// The trace that a request belongs to. A malformed one is none, as W3C wants it.
fn trace_of(headers: &HeaderMap) -> Option<TraceContext> {
    TraceContext::parse(headers.get("traceparent")?.as_bytes()).ok()
}

/// A body as JSON.
pub(super) async fn json<T: for<'de> Deserialize<'de>>(api: &Api, body: Body) -> Result<T, ApiError> {
    let too_large = || {
        let message = format!("a request in JSON may have {JSON_BYTES_MAX} bytes");
        ApiError::new(Kind::TooLarge, "request_too_large", message).hint("send several smaller ones")
    };
    let bytes = read(api, body, JSON_BYTES_MAX, too_large).await?;
    serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))
}

/// A body of at most so many bytes. While it comes in, its bytes are taken out of those that all may have together.
async fn read(
    api: &Api,
    body: Body,
    bytes_max: usize,
    too_large: impl FnOnce() -> ApiError,
) -> Result<Bytes, ApiError> {
    // A length that is announced is not exceeded: the connection would break.
    let announced = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    if announced.is_some_and(|bytes| bytes > bytes_max) {
        return Err(too_large());
    }
    let permit = api.bodies.as_ref().map(|bodies| {
        let bytes = u32::try_from(announced.unwrap_or(bytes_max)).unwrap_or(u32::MAX);
        bodies.try_acquire_many(bytes).map_err(|_| door::too_many_bodies())
    });
    let permit = permit.transpose()?;
    let whole = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, bytes_max).collect()).await;
    drop(permit);
    match whole {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(malformed(format!("the body broke off: {error}"))),
        Err(_) => Err(malformed("the body took too long")),
    }
}

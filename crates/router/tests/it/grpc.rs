//! gRPC through the router: HTTP/2 to endpoints, trailers, deadlines, and refusals in its own words.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use router::config::Protocol;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::endpoint::Endpoint;
use crate::http2::{plain_client, read};
use crate::rig::{Proxy, Rig, eventually, proxy};

/// An endpoint that speaks HTTP/2 alone. A request's path says what it does.
struct Backend {
    addr: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    heads: Vec<http::request::Parts>,
    connections: usize,
    resets: Vec<Option<Reason>>,
}

impl Backend {
    async fn new() -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, seen) = (listener.local_addr().unwrap(), Arc::<Mutex<Seen>>::default());
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                shared.lock().unwrap().connections += 1;
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Backend { addr, seen, _tasks: tasks }
    }

    fn proxy(&self) -> Proxy {
        proxy().address(self.addr).upstream(|upstream| upstream.protocol = Protocol::H2c)
    }

    fn head(&self, at: usize) -> http::request::Parts {
        self.seen.lock().unwrap().heads[at].clone()
    }

    fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }
}

async fn serve(stream: TcpStream, seen: Arc<Mutex<Seen>>) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let mut requests = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (head, content) = request.into_parts();
        let path = head.uri.path().to_string();
        seen.lock().unwrap().heads.push(head);
        if path == "/leave" {
            connection.graceful_shutdown();
        }
        requests.spawn(act(path, content, respond, Arc::clone(&seen)));
    }
    while requests.join_next().await.is_some() {}
}

fn ok() -> Response<()> {
    Response::builder().header("content-type", "application/grpc").body(()).unwrap()
}

async fn act(path: String, mut content: RecvStream, mut respond: SendResponse<Bytes>, seen: Arc<Mutex<Seen>>) {
    match path.as_str() {
        "/status" => {
            let mut reply = ok();
            reply.headers_mut().insert("grpc-status", "5".parse().unwrap());
            respond.send_response(reply, true).unwrap();
        }
        "/hang" => {
            let reset = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
            seen.lock().unwrap().resets.push(reset.ok());
        }
        "/busy" => respond.send_reset(Reason::REFUSED_STREAM),
        "/half" => {
            let mut sending = respond.send_response(ok(), false).unwrap();
            sending.send_data("half".into(), false).unwrap();
            // The head has gone out when the client has heard it.
            while let Some(data) = content.data().await {
                assert!(data.unwrap().is_empty());
            }
            sending.send_reset(Reason::INTERNAL_ERROR);
        }
        _ => {
            let mut sending = respond.send_response(ok(), false).unwrap();
            while let Some(Ok(data)) = content.data().await {
                content.flow_control().release_capacity(data.len()).unwrap();
                sending.send_data(data, false).unwrap();
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            if let Some(sum) = content.trailers().await.unwrap().as_mut().and_then(|all| all.remove("x-sum")) {
                trailers.insert("x-sum", sum);
            }
            sending.send_trailers(trailers).unwrap();
        }
    }
}

fn call(path: &str) -> Request<()> {
    let request = Request::post(format!("http://shop{path}"));
    request.header("content-type", "application/grpc+proto").header("te", "trailers").body(()).unwrap()
}

/// Calls with this content; status, content and trailers.
async fn unary(rig: &Rig, request: Request<()>, content: &'static str) -> (u16, HeaderMap, String, Option<HeaderMap>) {
    let mut client = plain_client(rig.addr).await;
    let (reply, mut sending) = client.send_request(request, false).unwrap();
    sending.send_data(content.into(), true).unwrap();
    let reply = reply.await.unwrap();
    let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
    let (text, trailers) = read(reply).await.unwrap();
    (status, headers, text, trailers)
}

#[tokio::test]
async fn a_call_goes_through_with_its_trailers() {
    let backend = Backend::new().await;
    let rig = backend.proxy().start();
    let mut request = call("/shop.Shop/Buy");
    request.headers_mut().insert("grpc-timeout", "5S".parse().unwrap());
    let (status, headers, text, trailers) = unary(&rig, request, "tea").await;
    assert_eq!((status, text.as_str()), (200, "tea"));
    assert_eq!(headers["content-type"], "application/grpc");
    assert_eq!(trailers.unwrap()["grpc-status"], "0");
    let head = backend.head(0);
    assert_eq!((head.method.as_str(), head.uri.to_string().as_str()), ("POST", "http://shop/shop.Shop/Buy"));
    assert_eq!(
        (&head.headers["te"], &head.headers["x-forwarded-for"]),
        (&"trailers".parse().unwrap(), &"127.0.0.1".parse().unwrap())
    );
    assert!(!head.headers.contains_key("host") && head.headers.contains_key("traceparent"));
    let told = head.headers["grpc-timeout"].to_str().unwrap();
    assert!(told.ends_with('m') && told.trim_end_matches('m').parse::<u32>().unwrap() <= 5000, "{told}");
    assert_eq!(rig.record().await.status, 200);
}

#[tokio::test]
async fn a_status_alone_goes_through() {
    let backend = Backend::new().await;
    let rig = backend.proxy().start();
    let (status, headers, text, trailers) = unary(&rig, call("/status"), "tea").await;
    assert_eq!((status, &headers["grpc-status"], text.as_str()), (200, &"5".parse().unwrap(), ""));
    assert!(trailers.is_none());
}

#[tokio::test]
async fn pieces_go_to_and_fro_while_neither_side_has_ended() {
    let backend = Backend::new().await;
    let rig = backend.proxy().start();
    let mut client = plain_client(rig.addr).await;
    let (reply, mut sending) = client.send_request(call("/chat"), false).unwrap();
    let mut reply = reply.await.unwrap().into_body();
    for word in ["one", "two", "three"] {
        sending.send_data(word.into(), false).unwrap();
        let heard = reply.data().await.unwrap().unwrap();
        assert_eq!(heard, word);
        reply.flow_control().release_capacity(heard.len()).unwrap();
    }
    let mut sum = HeaderMap::new();
    sum.insert("x-sum", "3".parse().unwrap());
    sending.send_trailers(sum).unwrap();
    assert!(reply.data().await.is_none());
    let trailers = reply.trailers().await.unwrap().unwrap();
    assert_eq!((&trailers["grpc-status"], &trailers["x-sum"]), (&"0".parse().unwrap(), &"3".parse().unwrap()));
}

#[tokio::test]
async fn many_calls_share_a_connection() {
    let backend = Backend::new().await;
    let rig = backend.proxy().config(|config| config.workers = 1).start();
    let mut client = plain_client(rig.addr).await;
    let mut replies = Vec::new();
    for _ in 0..40 {
        client = client.ready().await.unwrap();
        let (reply, mut sending) = client.send_request(call("/x"), false).unwrap();
        sending.send_data("tea".into(), true).unwrap();
        replies.push(reply);
    }
    for reply in replies {
        assert_eq!(read(reply.await.unwrap()).await.unwrap().0, "tea");
    }
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn what_the_router_says_itself_is_said_in_grpcs_words() {
    let backend = Backend::new().await;
    let status = async |rig: &Rig, path: &str| {
        let mut request = call(path);
        request.headers_mut().insert("grpc-timeout", "100m".parse().unwrap());
        let (status, headers, text, _) = unary(rig, request, "tea").await;
        assert_eq!((status, text.as_str(), &headers["content-type"]), (200, "", &"application/grpc".parse().unwrap()));
        assert!(headers.contains_key("forebay-trace") && headers.contains_key("grpc-message"));
        headers["grpc-status"].to_str().unwrap().to_string()
    };
    let rig = backend.proxy().start();
    assert_eq!(status(&rig, "/hang").await, "4", "its deadline has passed");
    eventually(|| backend.seen.lock().unwrap().resets == [Some(Reason::CANCEL)]).await;
    assert_eq!(rig.record().await.status, 504);
    assert_eq!(status(&rig, "/busy").await, "14", "the endpoint takes nothing");
    let rig = backend.proxy().policy(|policy| policy.hold_ms = 0).start();
    rig.route_to(&[]);
    eventually(|| rig.source_routing().borrow().upstreams[0].endpoints.is_empty()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(status(&rig, "/x").await, "14", "nobody is up");
    let rig = backend.proxy().policy(|policy| policy.body_bytes_max = Some(1)).start();
    assert_eq!(status(&rig, "/hang").await, "8", "its content is too large");
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_reset() {
    let backend = Backend::new().await;
    let rig = backend.proxy().start();
    let mut client = plain_client(rig.addr).await;
    let (reply, mut sending) = client.send_request(call("/half"), false).unwrap();
    let mut reply = reply.await.unwrap().into_body();
    assert_eq!(reply.data().await.unwrap().unwrap(), "half");
    sending.send_data(Bytes::new(), true).unwrap();
    assert_eq!(reply.data().await.unwrap().unwrap_err().reason(), Some(Reason::INTERNAL_ERROR));
}

#[tokio::test]
async fn an_endpoint_that_leaves_loses_no_call() {
    let backend = Backend::new().await;
    let rig = backend.proxy().config(|config| config.workers = 1).start();
    for path in ["/x", "/leave", "/x", "/x"] {
        let (_, _, text, trailers) = unary(&rig, call(path), "tea").await;
        assert_eq!((text.as_str(), &trailers.unwrap()["grpc-status"]), ("tea", &"0".parse().unwrap()), "{path}");
    }
    assert_eq!(backend.connections(), 2);
}

#[tokio::test]
async fn a_call_taken_back_is_taken_back_from_the_endpoint() {
    let backend = Backend::new().await;
    let rig = backend.proxy().start();
    let mut client = plain_client(rig.addr).await;
    let (reply, mut sending) = client.send_request(call("/hang"), false).unwrap();
    eventually(|| backend.seen.lock().unwrap().heads.len() == 1).await;
    sending.send_reset(Reason::CANCEL);
    drop(reply);
    eventually(|| backend.seen.lock().unwrap().resets == [Some(Reason::CANCEL)]).await;
    assert_eq!(rig.record().await.status, 499);
}

#[tokio::test]
async fn clients_of_http1_reach_endpoints_of_http2() {
    let backend = Backend::new().await;
    let rig = backend.proxy().start();
    let reply = rig.send("POST /x HTTP/1.1\r\nhost: shop\r\ncontent-length: 3\r\n\r\ntea").await;
    assert_eq!((reply.status, reply.content.as_str()), (200, "tea"));
    assert_eq!(backend.head(0).headers["content-length"], "3");
    assert_eq!(rig.get("/x").await.content, "");
}

#[tokio::test]
async fn others_get_http1_as_ever() {
    let a = Endpoint::saying("ok").await;
    let rig = proxy().endpoint(&a).start();
    let (status, headers, text, _) = unary(&rig, call("/x"), "tea").await;
    assert_eq!((status, text.as_str()), (200, "ok"));
    assert!(!headers.contains_key("grpc-status"));
}

//! The admin API's doors, over real sockets.

use axum::routing::get;
use axum::{Extension, Json, Router};
use control::auth::{AdminToken, Caller};
use control::client::Client;
use control::error::{ApiError, Kind};
use control::serve::{Server, bind_unix};
use control::wire::Listing;
use std::os::unix::fs::PermissionsExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::watch;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

async fn whoami(Extension(caller): Extension<Caller>) -> Json<Listing<String>> {
    Json(Listing::new(vec![caller.to_string()]))
}

async fn refuse() -> ApiError {
    ApiError::new(Kind::Conflict, "busy", "a deploy is under way").hint("wait for it")
}

async fn on_a_server(test: impl AsyncFnOnce(Client, std::net::SocketAddr)) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("admin.sock");
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let unix = UnixListener::from_std(bind_unix(&socket).unwrap()).unwrap();
            assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = tcp.local_addr().unwrap();
            let routes = Router::new().route("/v1/whoami", get(whoami)).route("/v1/busy", get(refuse));
            let (stop, stopped) = watch::channel(false);
            let server = Server::new(routes, AdminToken::of(TOKEN));
            let running = tokio::task::spawn_local(server.run(unix.into(), vec![tcp.into()], stopped));
            test(Client::new(socket.clone()), addr).await;
            stop.send(true).unwrap();
            running.await.unwrap();
        })
        .await;
}

async fn raw(addr: std::net::SocketAddr, authorization: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET /v1/whoami HTTP/1.1\r\nHost: x\r\n{authorization}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply
}

#[tokio::test]
async fn the_socket_knows_its_caller_and_tcp_wants_the_token() {
    on_a_server(async |client, addr| {
        let who: Listing<String> = client.get("/v1/whoami").await.unwrap();
        assert!(who.items[0].starts_with("uid "), "{who:?}");
        assert!(raw(addr, "").await.starts_with("HTTP/1.1 401"));
        assert!(raw(addr, "Authorization: Bearer wrong\r\n").await.contains("admin_token_wrong"));
        assert!(raw(addr, &format!("Authorization: Bearer {TOKEN}\r\n")).await.contains("admin token"));
    })
    .await;
}

#[tokio::test]
async fn an_error_arrives_as_it_was_said() {
    on_a_server(async |client, _| {
        let error = client.get::<Listing<String>>("/v1/busy").await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (Kind::Conflict, "busy"));
        assert_eq!(error.hint.as_deref(), Some("wait for it"));
        let missing = client.get::<Listing<String>>("/v1/nothing").await.unwrap_err();
        assert_eq!(missing.code, "no_such_endpoint");
    })
    .await;
}

#[tokio::test]
async fn a_node_that_is_not_there_is_said_so() {
    let error = Client::new("/nowhere/admin.sock".into()).get::<Listing<String>>("/").await.unwrap_err();
    assert_eq!(error.code, "node_unreachable");
    assert!(error.hint.unwrap().contains("forebay node"));
}

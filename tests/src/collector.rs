//! A collector of traces on this machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Takes what it is told; ends when dropped.
pub struct Collector {
    address: SocketAddr,
    told: Arc<Mutex<Vec<Told>>>,
    task: JoinHandle<()>,
}

/// A span as it was told.
#[derive(Clone, Debug)]
pub struct Told {
    pub name: String,
    /// Hexadecimal, as `traceparent` writes it.
    pub trace: String,
    pub span: String,
    /// Empty if it has none.
    pub parent: String,
    pub failed: bool,
    pub attributes: BTreeMap<String, Value>,
    /// Who told it.
    pub service: BTreeMap<String, Value>,
    pub nanoseconds: u64,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&told);
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, Arc::clone(&kept)));
            }
        });
        Self { address, told, task }
    }

    /// Such as `http://127.0.0.1:40000`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything so far.
    #[must_use]
    pub fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The span of that name, once there is one.
    pub async fn hear(&self, name: &str) -> Told {
        crate::eventually_ok(name, async || {
            let told = self.told();
            let found = told.iter().find(|told| told.name == name).cloned();
            found.ok_or_else(|| told.into_iter().map(|told| told.name).collect::<Vec<_>>())
        })
        .await
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(connection: TcpStream, kept: Arc<Mutex<Vec<Told>>>) {
    let mut connection = BufReader::new(connection);
    while let Some(body) = receive(&mut connection).await {
        let request = ExportTraceServiceRequest::decode(body.as_slice()).expect("it is OTLP");
        let told = request.resource_spans.into_iter().flat_map(|spans| {
            let service = spans.resource.map(|resource| resource.attributes);
            let service = attributes(service.unwrap_or_default());
            let spans = spans.scope_spans.into_iter().flat_map(|spans| spans.spans);
            spans.map(|span| told(span, service.clone())).collect::<Vec<_>>()
        });
        kept.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        if connection.get_mut().write_all(answer).await.is_err() {
            return;
        }
    }
}

/// The body of the next request, which must be one for a collector.
async fn receive(connection: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_lowercase();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    assert_eq!(lines[0], "post /v1/traces http/1.1");
    assert!(
        lines
            .iter()
            .any(|line| line == "content-type: application/x-protobuf"),
        "{lines:?}"
    );
    let length = lines
        .iter()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length?.parse().ok()?];
    connection.read_exact(&mut body).await.ok()?;
    Some(body)
}

fn told(span: Span, service: BTreeMap<String, Value>) -> Told {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Told {
        trace: hex(&span.trace_id),
        span: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        failed: span.status.is_some_and(|status| status.code == 2),
        attributes: attributes(span.attributes),
        service,
        nanoseconds: span.end_time_unix_nano - span.start_time_unix_nano,
        name: span.name,
    }
}

fn attributes(attributes: Vec<KeyValue>) -> BTreeMap<String, Value> {
    let read = |attribute: KeyValue| (attribute.key, attribute.value.map_or(Value::Null, value));
    attributes.into_iter().map(read).collect()
}

fn value(any: AnyValue) -> Value {
    match any.value {
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::BoolValue(is)) => json!(is),
        Some(Any::IntValue(number)) => json!(number),
        Some(Any::DoubleValue(number)) => json!(number),
        Some(Any::ArrayValue(array)) => array.values.into_iter().map(value).collect(),
        other => panic!("nothing like this is told: {other:?}"),
    }
}

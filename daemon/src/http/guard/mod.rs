//! Who is let in: the first thing a request meets and the last thing an answer does, but for the
//! form of errors.
//!
//! Owns the checks of network, host name, origin, key, right and rate, in this order. Handlers
//! find the [`Caller`] among the extensions of the request, and never see a key.

mod credentials;
mod host;
mod networks;
mod origin;
mod rates;
mod refusal;
mod routes;
mod tenure;
mod visitor;

use std::net::SocketAddr;
use std::sync::Arc;

use airunner_core::access::{AuditEvent, Caller, Scope};
use airunner_core::{ErrorKind, Fault};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;

use crate::config::{Auth, HttpSettings, Rate};
use crate::http::family::Family;
use crate::http::stream::Form;
use crate::http::telemetry::method_name;
use crate::keys::Keys;
use credentials::Presented;
use host::Hosts;
use networks::{Client, Networks};
use origin::{Origins, Source, Target};
pub(super) use rates::neighbourhood;
use rates::{Exceeded, Rates, Standing};
use refusal::Refusal;
use routes::Need;
use tenure::Lost;
pub(super) use visitor::{Holder, Visitor};

/// What keys of ours begin with.
const KEY_MARK: &str = "air_";

/// The connection a request came by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    pub(super) remote: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) encrypted: bool,
}

/// The rules as they are at each request.
#[derive(Clone)]
pub(super) struct Guard(watch::Receiver<Arc<Rules>>);

/// Has a guard go by other rules.
pub(super) struct Guarding(watch::Sender<Arc<Rules>>);

struct Rules {
    auth: Auth,
    hosts: Hosts,
    networks: Networks,
    origins: Origins,
    /// What the buckets were made for.
    rate: Option<Rate>,
    rates: Arc<Rates>,
    keys: Keys,
}

/// What is found out about a request that is let in.
struct Admitted {
    caller: Option<Caller>,
    standing: Option<Standing>,
}

/// What can be said of a request before anything is decided.
struct Asked {
    method: Method,
    pattern: Option<String>,
}

impl Guard {
    /// `names`: what this server is called besides localhost and its addresses.
    pub(super) fn new(settings: &HttpSettings, names: Vec<String>, keys: Keys) -> (Self, Guarding) {
        let rates = Arc::new(Rates::new(settings.rate_limit));
        let rules = Rules::new(settings, names, rates, keys);
        let (published, rules) = watch::channel(Arc::new(rules));
        (Self(rules), Guarding(published))
    }
}

impl Guarding {
    /// From the next request. Who has used up a limit that stays has still used it up.
    pub(super) fn change(&self, settings: &HttpSettings, names: Vec<String>) {
        self.0.send_modify(|rules| {
            let rates = if rules.rate == settings.rate_limit {
                Arc::clone(&rules.rates)
            } else {
                Arc::new(Rates::new(settings.rate_limit))
            };
            *rules = Arc::new(Rules::new(settings, names, rates, rules.keys.clone()));
        });
    }
}

/// What a caller of this route must have: `None` if nobody needs a key, no right if any key does.
pub(super) fn needed(method: &Method, path: &str) -> Option<Vec<Scope>> {
    match routes::need(method, Some(path)) {
        Need::Nothing => None,
        Need::Key => Some(Vec::new()),
        Need::Scope(scope) => Some(vec![scope]),
    }
}

/// Lets a request in, or says why not.
pub(super) async fn guard(State(Guard(rules)): State<Guard>, mut request: Request, next: Next) -> Response {
    let rules = Arc::clone(&rules.borrow());
    let presented = credentials::take(request.headers_mut());
    let asked = Asked {
        method: request.method().clone(),
        pattern: request
            .extensions()
            .get::<MatchedPath>()
            .map(|path| path.as_str().to_owned()),
    };
    let Some(connection) = request.extensions().get::<Connection>().copied() else {
        return Refusal::from(Fault::internal("a request came by no connection")).into_response();
    };
    let (client, source) = match rules.place(&connection, &asked, &request) {
        Ok(place) => place,
        Err((client, refusal)) => return harden(rules.refuse(&asked, client, &connection, None, refusal)),
    };
    let mut response = if origin::is_preflight(&asked.method, request.headers()) {
        origin::preflight(request.headers())
    } else {
        match rules.admit(&asked, client, presented) {
            Ok(Admitted { caller, standing }) => {
                let visitor = caller.as_ref().map(|caller| Visitor {
                    rules: Arc::clone(&rules),
                    key: caller.key,
                    address: client.address,
                });
                if let (Some(caller), Some(visitor)) = (&caller, &visitor) {
                    request.extensions_mut().insert(visitor.clone());
                    request.extensions_mut().insert(caller.clone());
                }
                let mut response = match visitor.filter(|visitor| visitor.key.is_some()) {
                    Some(visitor) => serve(&visitor, request, next).await,
                    None => next.run(request).await,
                };
                // For the line in the log.
                if let Some(caller) = caller {
                    response.extensions_mut().insert(caller);
                }
                if let Some(standing) = standing {
                    standing.tell(response.headers_mut());
                }
                response
            }
            Err(Denied {
                caller,
                refusal,
                standing,
            }) => {
                let name = caller.as_ref().map(|caller| caller.name.as_str());
                let mut response = rules.refuse(&asked, Some(client), &connection, name, *refusal);
                if let Some(caller) = caller {
                    response.extensions_mut().insert(caller);
                }
                if let Some(standing) = standing {
                    standing.tell(response.headers_mut());
                }
                response
            }
        }
    };
    origin::permit(&source, response.headers_mut());
    harden(response)
}

/// Lets the request be answered for as long as its key is good.
async fn serve(visitor: &Visitor, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let family = Family::of(&path, request.headers());
    let mut lost: Lost = Box::pin(visitor.lost());
    let response = tokio::select! {
        response = next.run(request) => response,
        fault = &mut lost => return Refusal::from(fault).into_response(),
    };
    let form = Form::of(family, &path, &response);
    tenure::bind(response, lost, form)
}

/// Who is refused although the request is well placed.
struct Denied {
    /// Who it is, if that is known.
    caller: Option<Caller>,
    refusal: Box<Refusal>,
    standing: Option<Standing>,
}

impl From<Fault> for Denied {
    fn from(fault: Fault) -> Self {
        Self {
            caller: None,
            refusal: Box::new(fault.into()),
            standing: None,
        }
    }
}

impl From<Exceeded> for Denied {
    fn from(exceeded: Exceeded) -> Self {
        Self {
            standing: Some(exceeded.standing),
            ..exceeded.fault.into()
        }
    }
}

impl Rules {
    fn new(settings: &HttpSettings, names: Vec<String>, rates: Arc<Rates>, keys: Keys) -> Self {
        Self {
            auth: settings.auth,
            hosts: Hosts::new(names),
            networks: Networks::new(settings),
            origins: Origins::new(settings.allowed_origins.clone()),
            rate: settings.rate_limit,
            rates,
            keys,
        }
    }

    /// Where the request comes from and what it is meant for.
    fn place(
        &self,
        connection: &Connection,
        asked: &Asked,
        request: &Request,
    ) -> Result<(Client, Source), (Option<Client>, Refusal)> {
        let headers = request.headers();
        let client = self
            .networks
            .check(connection.remote.ip(), headers)
            .map_err(|refusal| (None, refusal))?;
        let refused = |refusal| (Some(client), refusal);
        let authority = self
            .hosts
            .check(request.uri(), headers, connection.local.ip())
            .map_err(refused)?;
        let target = Target {
            authority: &authority,
            secure: (!client.proxied).then_some(connection.encrypted),
            is_page: routes::is_page(asked.pattern.as_deref()),
        };
        let source = self
            .origins
            .check(&asked.method, headers, &target)
            .map_err(refused)?;
        Ok((client, source))
    }

    /// Who it is, and whether that one may do this now.
    fn admit(&self, asked: &Asked, client: Client, presented: Presented) -> Result<Admitted, Denied> {
        let scope = match routes::need(&asked.method, asked.pattern.as_deref()) {
            Need::Nothing => {
                return Ok(Admitted {
                    caller: None,
                    standing: None,
                });
            }
            Need::Key => None,
            Need::Scope(scope) => Some(scope),
        };
        let caller = self.identify(client, presented)?;
        let denied = |denied: Denied| Denied {
            caller: Some(caller.clone()),
            ..denied
        };
        let standing = self
            .rates
            .key(caller.key)
            .map_err(|exceeded| denied(exceeded.into()))?;
        if let Some(scope) = scope
            && !caller.may(scope)
        {
            return Err(denied(lacks(scope).into()));
        }
        Ok(Admitted {
            caller: Some(caller),
            standing,
        })
    }

    fn identify(&self, client: Client, presented: Presented) -> Result<Caller, Denied> {
        let open = self.auth == Auth::LoopbackOpen && client.is_local;
        let key = match presented {
            // Many clients must be given a key, whatever it is, and send it.
            Presented::Key(key) if open && !key.starts_with(KEY_MARK) => return Ok(Caller::local()),
            Presented::Nothing | Presented::Unclear if open => return Ok(Caller::local()),
            Presented::Nothing => None,
            Presented::Key(key) => Some(key),
            Presented::Unclear => Some(String::new()),
        };
        // A key that is good is never held up by strangers at the same address.
        let identified = self.keys.identify(key.as_deref().unwrap_or_default());
        identified.map_err(|fault| self.strange(client, key.is_some(), fault))
    }

    /// Counts a request without a good key, and says why it is refused.
    fn strange(&self, client: Client, guesses: bool, fault: Fault) -> Denied {
        let standing = match self.rates.address(client.address) {
            Ok(standing) => standing,
            Err(exceeded) => return exceeded.into(),
        };
        let guessed = if guesses {
            self.rates.wrong_key(client.address)
        } else {
            Ok(())
        };
        Denied {
            standing,
            ..guessed.err().map_or(fault, |exceeded| exceeded.fault).into()
        }
    }

    fn refuse(
        &self,
        asked: &Asked,
        client: Option<Client>,
        connection: &Connection,
        name: Option<&str>,
        refusal: Refusal,
    ) -> Response {
        let address = client.map_or(connection.remote.ip().to_canonical(), |client| client.address);
        let place = asked.pattern.as_deref().unwrap_or("an unknown path");
        // A stranger can make up methods, as long as a head may be.
        let detail = format!("{}: {} {place}", refusal.fault.kind, method_name(&asked.method));
        self.keys
            .note(AuditEvent::Refused, name, Some(address.to_string()), &detail);
        refusal.into_response()
    }
}

fn lacks(scope: Scope) -> Fault {
    Fault::new(
        ErrorKind::PermissionDenied,
        format!("this key is not good for that: it lacks the scope {scope}"),
    )
}

/// What keeps browsers from guessing at answers, and other pages from embedding them.
fn harden(mut response: Response) -> Response {
    fn set(headers: &mut HeaderMap, name: &'static str, value: &'static str) {
        let name = HeaderName::from_static(name);
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return response;
    }
    let headers = response.headers_mut();
    set(headers, "x-content-type-options", "nosniff");
    set(headers, "x-frame-options", "DENY");
    set(headers, "referrer-policy", "no-referrer");
    if !headers.contains_key(axum::http::header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        set(headers, "cross-origin-resource-policy", "same-origin");
    }
    response
}

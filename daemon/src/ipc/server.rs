//! The server on the local socket.

use std::sync::Arc;
use std::time::Duration;

use airunner_core::{Fault, error};
use airunner_platform::Listener;
use airunner_proto::v1::catalog_server::CatalogServer;
use airunner_proto::v1::control_server::ControlServer;
use airunner_proto::v1::downloads_server::DownloadsServer;
use airunner_proto::v1::hardware_server::HardwareServer;
use airunner_proto::v1::keys_server::KeysServer;
use airunner_proto::v1::llm_server::LlmServer;
use airunner_proto::v1::models_server::ModelsServer;
use airunner_proto::v1::notifications_server::NotificationsServer;
use airunner_proto::v1::settings_server::SettingsServer;
use airunner_proto::{FILE_DESCRIPTOR_SET, MAX_MESSAGE_BYTES};

use super::control::About;
use super::{catalog, connection, control, downloads, hardware, keys, llm, models, notifications, settings};
use crate::activities::Activities;
use crate::catalog::Catalog;
use crate::downloads::Downloads;
use crate::events::Hub;
use crate::hardware::Hardware;
use crate::inference::Inference;
use crate::keys::Keys;
use crate::models::Models;
use crate::notifications::Notifications;
use crate::pause::Pausing;
use crate::quantize::Quantizer;
use crate::settings::Handle;
use crate::shutdown::Ending;
use crate::usage::Usage;

/// Requests one connection may have open.
const MAX_STREAMS: u32 = 512;
const MAX_HEADER_BYTES: u32 = 16 << 10;
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Resets of streams the server had not looked at yet, before a connection is ended as hostile.
const MAX_PENDING_RESETS: usize = 64;
/// A connection that answers nothing for so long is dead.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// What the services call.
pub struct Services {
    pub about: About,
    pub hub: Hub,
    pub activities: Activities,
    pub catalog: Catalog,
    pub downloads: Downloads,
    pub hardware: Hardware,
    pub models: Models,
    pub pausing: Pausing,
    pub quantizer: Quantizer,
    pub inference: Inference,
    pub keys: Keys,
    pub notifications: Notifications,
    pub settings: Handle,
    pub usage: Usage,
    pub ending: Ending,
}

/// Ready to serve.
pub struct Server {
    router: tonic::transport::server::Router,
    ending: Ending,
}

impl Server {
    pub async fn new(services: Services) -> Result<Self, Fault> {
        let Services {
            about,
            hub,
            activities,
            catalog,
            downloads,
            hardware,
            models,
            pausing,
            quantizer,
            inference,
            keys,
            notifications,
            settings,
            usage,
            ending,
        } = services;
        let control = control::Service {
            about: Arc::new(about),
            hub,
            models: models.clone(),
            pausing,
            activities: activities.clone(),
            ending: ending.clone(),
        };
        let control = ControlServer::new(control)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let hardware = hardware::Service {
            hardware,
            models: models.clone(),
            settings: settings.clone(),
            ending: ending.clone(),
        };
        let hardware = HardwareServer::new(hardware)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let catalog = CatalogServer::new(catalog::Service {
            catalog,
            models: models.clone(),
        })
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let models = ModelsServer::new(models::Service {
            activities,
            downloads: downloads.clone(),
            models,
            quantizer,
            usage,
        })
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let llm = LlmServer::new(llm::Service { inference })
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let downloads = DownloadsServer::new(downloads::Service { downloads })
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let keys = KeysServer::new(keys::Service { keys })
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let notifications = NotificationsServer::new(notifications::Service { notifications })
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let settings = SettingsServer::new(settings::Service { settings })
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<ControlServer<control::Service>>().await;
        health.set_serving::<ModelsServer<models::Service>>().await;
        health.set_serving::<HardwareServer<hardware::Service>>().await;
        health.set_serving::<LlmServer<llm::Service>>().await;
        health.set_serving::<CatalogServer<catalog::Service>>().await;
        health.set_serving::<DownloadsServer<downloads::Service>>().await;
        health.set_serving::<KeysServer<keys::Service>>().await;
        health
            .set_serving::<NotificationsServer<notifications::Service>>()
            .await;
        health.set_serving::<SettingsServer<settings::Service>>().await;
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(|error| Fault::internal(format!("cannot describe the services: {error}")))?;
        let router = tonic::transport::Server::builder()
            .max_concurrent_streams(MAX_STREAMS)
            .http2_max_header_list_size(MAX_HEADER_BYTES)
            .http2_max_pending_accept_reset_streams(Some(MAX_PENDING_RESETS))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .add_service(control)
            .add_service(models)
            .add_service(llm)
            .add_service(hardware)
            .add_service(catalog)
            .add_service(downloads)
            .add_service(keys)
            .add_service(notifications)
            .add_service(settings)
            .add_service(health_service)
            .add_service(reflection);
        Ok(Self { router, ending })
    }

    /// Until the end is asked for; then it accepts nobody, and returns when every request that
    /// was open has been answered.
    pub async fn serve(self, listener: Listener) -> Result<(), Fault> {
        let asked = self.ending.asked();
        self.router
            .serve_with_incoming_shutdown(connection::incoming(listener), asked)
            .await
            .map_err(|error| Fault::internal(error::chain(&error)))
    }
}

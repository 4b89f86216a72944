//! Who does what a button asks for.

use std::pin::Pin;

use airunner_core::download::DownloadId;
use airunner_core::job::JobId;
use airunner_core::model::LoadRequest;
use airunner_core::{Fault, ModelName, Priority};

use crate::downloads::Downloads;
use crate::jobs::Jobs;
use crate::models::{Models, Turn};

/// Work under way.
pub type Carrying = Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>>;

/// A domain whose work buttons can ask for. It may be asked again for what was cut off by the end
/// of the daemon, so doing it twice must be the same as doing it once.
pub trait Carrier: Send + Sync + 'static {
    fn carry(&self, verb: &str, argument: &str) -> Carrying;
}

fn unknown(verb: &str) -> Carrying {
    let fault = Fault::internal(format!("nothing can be done for {verb:?}"));
    Box::pin(std::future::ready(Err(fault)))
}

impl Carrier for Models {
    fn carry(&self, verb: &str, argument: &str) -> Carrying {
        let (models, name) = (self.clone(), argument.to_owned());
        match verb {
            "load" => Box::pin(async move { load(models, ModelName::new(&name)?).await }),
            "unload" => Box::pin(async move {
                models.unload(ModelName::new(&name)?, false).await?;
                Ok(())
            }),
            other => unknown(other),
        }
    }
}

async fn load(models: Models, name: ModelName) -> Result<(), Fault> {
    let request = LoadRequest {
        priority: Priority::Interactive,
        ..LoadRequest::new(name)
    };
    let mut acquisition = models.load(request).await?;
    loop {
        if let Turn::Granted(lease) = acquisition.turn().await? {
            drop(lease);
            return Ok(());
        }
    }
}

impl Carrier for Downloads {
    fn carry(&self, verb: &str, argument: &str) -> Carrying {
        let (downloads, id) = (self.clone(), argument.parse().map(DownloadId));
        match (verb, id) {
            ("resume", Ok(id)) => Box::pin(async move {
                downloads.resume(id).await?;
                Ok(())
            }),
            (other, _) => unknown(other),
        }
    }
}

impl Carrier for Jobs {
    fn carry(&self, verb: &str, argument: &str) -> Carrying {
        let (jobs, id) = (self.clone(), JobId(argument.to_owned()));
        match verb {
            "retry" => Box::pin(async move {
                jobs.retry(id).await?;
                Ok(())
            }),
            other => unknown(other),
        }
    }
}

use airunner_proto::v1;
use airunner_proto::v1::downloads_server::Downloads;
use tokio_stream::StreamExt as _;
use tonic::{Request, Response, Status};

use super::{Answers, Script};

fn one(id: u64, state: &str) -> Response<v1::Download> {
    Response::new(v1::Download {
        id,
        name: "owner/qwen".into(),
        state: state.into(),
        done_bytes: 5 << 20,
        total_bytes: 10 << 20,
        ..v1::Download::default()
    })
}

#[tonic::async_trait]
impl Downloads for Script {
    type PullStream = Answers<v1::PullResponse>;

    async fn pull(&self, request: Request<v1::PullRequest>) -> Result<Response<Self::PullStream>, Status> {
        let request = request.into_inner();
        self.note(format!("pull {} {}", request.source, request.level));
        let pulling = self.pulling.clone();
        // What follows is asked for when what was told before is on its way.
        let then = tokio_stream::once(()).then(move |()| {
            let pulling = pulling.clone();
            async move {
                tokio::task::yield_now().await;
                if let Some(pulling) = pulling {
                    pulling.send(()).await.expect("the test waits for it");
                }
                std::future::pending().await
            }
        });
        Ok(Response::new(Box::pin(
            tokio_stream::iter(self.pull.clone()).chain(then),
        )))
    }

    async fn list(
        &self,
        _: Request<v1::ListDownloadsRequest>,
    ) -> Result<Response<v1::ListDownloadsResponse>, Status> {
        Ok(Response::new(v1::ListDownloadsResponse {
            downloads: vec![one(3, "running").into_inner()],
        }))
    }

    async fn pause(&self, request: Request<v1::DownloadRequest>) -> Result<Response<v1::Download>, Status> {
        let id = request.into_inner().id;
        self.note(format!("pause {id}"));
        Ok(one(id, "paused"))
    }

    async fn resume(&self, request: Request<v1::DownloadRequest>) -> Result<Response<v1::Download>, Status> {
        let id = request.into_inner().id;
        self.note(format!("resume {id}"));
        Ok(one(id, "queued"))
    }

    async fn cancel(&self, request: Request<v1::DownloadRequest>) -> Result<Response<v1::Download>, Status> {
        let id = request.into_inner().id;
        self.note(format!("cancel {id}"));
        Ok(one(id, "cancelled"))
    }
}

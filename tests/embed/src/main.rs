//! The guest book, served on this machine until Ctrl-C.

use embed::{Failure, serve};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    serve(listener, "sqlite:guest-book.db", async {
        // Without signals the application runs until it is killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
    .await
}

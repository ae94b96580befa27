//! The one integration binary: real server processes, raw connections, the project's own client.

#![allow(clippy::large_futures, reason = "a test's story is one long future, and there is room for it")]

/// Makes of each story, a function of the carrier, two tests.
macro_rules! over_both {
    ($($story:ident),+ $(,)?) => {
        mod over_a_websocket {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                super::$story(crate::harness::carrier::Carrier::WebSocket).await;
            })+
        }
        mod over_exchange {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                super::$story(crate::harness::carrier::Carrier::Exchange).await;
            })+
        }
    };
}

mod faults;
mod harness;
mod hostile;
mod operator;
mod people;
mod power;
mod requests;
mod scenarios;
mod simulation;
mod tidy;

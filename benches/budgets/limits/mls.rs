//! What openmls takes to judge a commit.

use std::time::Duration;

use bytes::Bytes;
use openmls::{
    group::{ProposalStore, PublicGroup},
    prelude::{MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider as _, ProcessedMessageContent, tls_codec::Deserialize as _},
};
use openmls_rust_crypto::OpenMlsRustCrypto;
use sovereign::clock::monotonic;

/// A group as somebody outside sees it.
pub struct Observer {
    provider: OpenMlsRustCrypto,
    group: PublicGroup,
}

impl Observer {
    /// From a `GroupInfo` with its tree.
    pub fn new(group_info: &[u8]) -> Self {
        let MlsMessageBodyIn::GroupInfo(info) = read(group_info) else { panic!("no GroupInfo") };
        let tree = info.extensions().ratchet_tree().expect("the tree comes along").ratchet_tree().clone();
        let provider = OpenMlsRustCrypto::default();
        let built = PublicGroup::from_external(provider.crypto(), provider.storage(), tree, info, ProposalStore::new());
        let (group, _) = built.expect("the GroupInfo is good");
        Self { provider, group }
    }

    /// Decodes and processes a commit, which is what is timed, and goes on with it.
    pub fn judge(&mut self, commit: &Bytes) -> Duration {
        let start = monotonic();
        let MlsMessageBodyIn::PublicMessage(message) = read(commit) else { panic!("no PublicMessage") };
        let processed = self.group.process_message(self.provider.crypto(), message).expect("the commit is good");
        let took = start.elapsed();
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else { panic!("no commit") };
        self.group.merge_commit(self.provider.storage(), *staged).expect("the commit merges");
        took
    }
}

fn read(bytes: &[u8]) -> MlsMessageBodyIn {
    MlsMessageIn::tls_deserialize_exact(bytes).expect("an MLSMessage").extract()
}

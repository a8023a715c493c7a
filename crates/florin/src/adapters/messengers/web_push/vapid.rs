//! Who sends push messages: a key of P-256 that push services know the sender by, RFC 8292.

use crate::adapters::secret_file;
use crate::failure::Failure;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// How long a proof is good; push services take a day at most.
const PROOF_S: u64 = 12 * 3600;
/// A proof is made anew when it is good for less than this.
const MARGIN_S: u64 = 3600;
/// Most proofs remembered, one for each push service.
const PROOFS_MAX: usize = 100;

pub(super) struct Vapid {
    key: EcdsaKeyPair,
    subject: String,
    proofs: Mutex<HashMap<String, (String, u64)>>,
}

impl std::fmt::Debug for Vapid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vapid").field("subject", &self.subject).finish_non_exhaustive()
    }
}

impl Vapid {
    /// The key in a file (PKCS #8 in PEM), which is made if it is not there.
    pub(super) fn open(path: &Path, subject: &str) -> Result<Vapid, Failure> {
        if !subject.starts_with("mailto:") && !subject.starts_with("https://") {
            let what = "web_push.subject is neither a mailto: nor an https: URL";
            return Err(Failure::usage(what, "write where push services reach you, such as mailto:push@bank.example"));
        }
        if !path.exists() {
            make(path)?;
        }
        let wrong = |what: &dyn std::fmt::Display| {
            let next =
                "name a file with a private key of P-256 (PKCS #8, PEM), or one that is not there to have it made";
            Failure::usage(format!("web_push.key_file {}: {what}", path.display()), next)
        };
        let der = PrivatePkcs8KeyDer::from_pem_file(path).map_err(|error| wrong(&error))?;
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der(), &random);
        let key = key.map_err(|error| wrong(&error))?;
        Ok(Vapid { key, subject: subject.to_owned(), proofs: Mutex::default() })
    }

    pub(super) fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key.public_key())
    }

    /// The header that proves to the push service at this URL who sends.
    pub(super) fn authorization(&self, url: &Url, now_s: u64) -> Option<String> {
        let origin = url.origin().ascii_serialization();
        let mut proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((proof, until_s)) = proofs.get(&origin)
            && now_s + MARGIN_S < *until_s
        {
            return Some(proof.clone());
        }
        let until_s = now_s + PROOF_S;
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(&json!({"typ": "JWT", "alg": "ES256"}));
        let claims = part(&json!({"aud": origin, "exp": until_s, "sub": self.subject}));
        let signed = format!("{header}.{claims}");
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        let proof = format!("vapid t={signed}.{}, k={}", URL_SAFE_NO_PAD.encode(signature), self.public_key());
        if PROOFS_MAX <= proofs.len() {
            proofs.clear();
        }
        proofs.insert(origin, (proof.clone(), until_s));
        Some(proof)
    }
}

fn make(path: &Path) -> Result<(), Failure> {
    let failed = || Failure::fault("no key for Web Push could be made", "check this machine's randomness");
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let made = made.map_err(|_| failed())?;
    let text = base64::engine::general_purpose::STANDARD.encode(made.as_ref());
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    secret_file::create(path, pem.as_bytes())
}

//! Encrypts a push message for one browser: RFC 8291 over RFC 8188, in a single record.

use bank::notification::outgoing::PushSubscription;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use ring::rand::{SecureRandom, SystemRandom};

const SALT_BYTES: usize = 16;
const RECORD_BYTES: u32 = 4096;
/// Ends the last record, and so the only one.
const LAST: u8 = 2;

struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand<const COUNT: usize>(key: &Prk, info: &[&[u8]]) -> Option<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    key.expand(info, Bytes(COUNT)).ok()?.fill(&mut bytes).ok()?;
    Some(bytes)
}

/// The body of the request; `None` where the browser's key is no point of the curve.
pub(super) fn encrypt(subscription: &PushSubscription, plain: &[u8]) -> Option<Vec<u8>> {
    let random = SystemRandom::new();
    let mut salt = [0; SALT_BYTES];
    random.fill(&mut salt).ok()?;
    let own = EphemeralPrivateKey::generate(&ECDH_P256, &random).ok()?;
    let own_public = own.compute_public_key().ok()?;
    let theirs = UnparsedPublicKey::new(&ECDH_P256, &subscription.p256dh);
    let auth = Salt::new(HKDF_SHA256, &subscription.auth);
    let key = agree_ephemeral(own, &theirs, |secret| {
        let info: [&[u8]; 3] = [b"WebPush: info\0", &subscription.p256dh, own_public.as_ref()];
        expand::<32>(&auth.extract(secret), &info)
    });
    let key = Salt::new(HKDF_SHA256, &salt).extract(&key.ok()??);
    let content_key: [u8; 16] = expand(&key, &[b"Content-Encoding: aes128gcm\0"])?;
    let nonce: [u8; 12] = expand(&key, &[b"Content-Encoding: nonce\0"])?;
    let mut sealed = [plain, &[LAST]].concat();
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &content_key).ok()?);
    cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed).ok()?;
    let length = u8::try_from(own_public.as_ref().len()).ok()?;
    Some([&salt[..], &RECORD_BYTES.to_be_bytes(), &[length], own_public.as_ref(), &sealed].concat())
}

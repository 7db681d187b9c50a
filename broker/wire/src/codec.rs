//! How a payload is written and read: CBOR, compressed where that pays, with limits before any work.
//!
//! Reading is safe on hostile bytes: the size is checked first, decompression stops at its limit, nesting
//! deeper than [`MAX_DEPTH`] and bytes behind the value are refused, and a length that is only claimed costs 1 MiB at the most.
//! Reading a payload never takes more memory than 64 times its limit ([`Payload::MAX`]).

use std::io::{Read, Write};

use ciborium::de::Error as CborError;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// The deepest nesting of arrays and maps that is read.
pub const MAX_DEPTH: usize = 16;

/// What [`Payload::PACKED`] payloads must exceed, in bytes, to be compressed.
pub const PACK_OVER: usize = 2048;

/// A payload of the contract and its limits.
pub trait Payload: Serialize + DeserializeOwned {
    /// The most bytes of CBOR that are written or read.
    const MAX: usize = 64 * 1024;
    /// Whether the payload is compressed when it is large; then [`MAX_PACKED`] limits what is read.
    const PACKED: bool = false;
}

/// The most bytes of a compressed payload that are read.
pub const MAX_PACKED: usize = 1024 * 1024;

/// How the bytes of a payload are to be read, as told by MQTT 5's content type property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// `application/cbor`
    Cbor,
    /// `application/cbor+zlib`
    CborZlib,
}

impl ContentType {
    /// The property's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cbor => "application/cbor",
            Self::CborZlib => "application/cbor+zlib",
        }
    }
}

/// A payload as it goes on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// How the bytes are to be read.
    pub content_type: ContentType,
    /// What is published.
    pub bytes: Vec<u8>,
}

/// Why a payload was not written.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// It has more bytes than any reader takes.
    #[error("the payload has {size} bytes, more than the {max} that readers take")]
    TooLarge {
        /// Bytes of CBOR, or of the compressed form.
        size: usize,
        /// The limit that was passed.
        max: usize,
    },
    /// The value has no CBOR form.
    #[error("the payload cannot be written as CBOR")]
    Cbor(#[source] ciborium::ser::Error<std::io::Error>),
    /// The compressor failed.
    #[error("the payload cannot be compressed")]
    Zlib(#[source] std::io::Error),
}

/// Why bytes are not a payload.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// The content type is none of the contract.
    #[error("the content type is not one of this contract")]
    ContentType,
    /// More bytes than are read, before or after decompression.
    #[error("the payload has more than {max} bytes")]
    TooLarge {
        /// The limit that was passed.
        max: usize,
    },
    /// The bytes are not a zlib stream, or it is cut or has something behind it.
    #[error("the payload is not one whole zlib stream")]
    Zlib,
    /// The bytes are not CBOR of this payload.
    #[error("the payload does not fit the contract: {0}")]
    Cbor(String),
    /// Something follows the value.
    #[error("{0} bytes follow the payload")]
    Trailing(usize),
}

/// Writes a payload.
///
/// # Errors
/// [`EncodeError::TooLarge`] when no reader would take it.
pub fn encode<P: Payload>(payload: &P) -> Result<Encoded, EncodeError> {
    let mut bytes = Vec::with_capacity(256);
    ciborium::into_writer(payload, &mut bytes).map_err(EncodeError::Cbor)?;
    if bytes.len() > P::MAX {
        return Err(EncodeError::TooLarge { size: bytes.len(), max: P::MAX });
    }
    if !P::PACKED || bytes.len() <= PACK_OVER {
        return Ok(Encoded { content_type: ContentType::Cbor, bytes });
    }
    let mut packer = ZlibEncoder::new(Vec::with_capacity(bytes.len() / 3), Compression::default());
    packer.write_all(&bytes).map_err(EncodeError::Zlib)?;
    let bytes = packer.finish().map_err(EncodeError::Zlib)?;
    if bytes.len() > MAX_PACKED {
        return Err(EncodeError::TooLarge { size: bytes.len(), max: MAX_PACKED });
    }
    Ok(Encoded { content_type: ContentType::CborZlib, bytes })
}

/// Reads a payload; without a content type the bytes are taken for plain CBOR.
///
/// # Errors
/// A [`DecodeError`] for whatever is not exactly one payload within its limits.
pub fn decode<P: Payload>(content_type: Option<&str>, bytes: &[u8]) -> Result<P, DecodeError> {
    match content_type {
        None => read(bytes),
        Some(text) if text == ContentType::Cbor.as_str() => read(bytes),
        Some(text) if text == ContentType::CborZlib.as_str() => read::<P>(&unpack(bytes, P::MAX)?),
        Some(_) => Err(DecodeError::ContentType),
    }
}

fn unpack(bytes: &[u8], max: usize) -> Result<Vec<u8>, DecodeError> {
    if bytes.len() > MAX_PACKED {
        return Err(DecodeError::TooLarge { max: MAX_PACKED });
    }
    let mut unpacker = ZlibDecoder::new(bytes);
    let mut plain = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    (&mut unpacker).take(limit).read_to_end(&mut plain).map_err(|_| DecodeError::Zlib)?;
    if plain.len() > max {
        return Err(DecodeError::TooLarge { max });
    }
    if usize::try_from(unpacker.total_in()) != Ok(bytes.len()) {
        return Err(DecodeError::Zlib);
    }
    Ok(plain)
}

fn read<P: Payload>(bytes: &[u8]) -> Result<P, DecodeError> {
    if bytes.len() > P::MAX {
        return Err(DecodeError::TooLarge { max: P::MAX });
    }
    let mut rest = bytes;
    let payload =
        ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_DEPTH).map_err(|error| match error {
            CborError::Io(_) => DecodeError::Cbor("it is cut short".to_owned()),
            CborError::Syntax(at) => DecodeError::Cbor(format!("no CBOR at byte {at}")),
            CborError::Semantic(_, text) => DecodeError::Cbor(text.chars().take(200).collect()),
            CborError::RecursionLimitExceeded => DecodeError::Cbor(format!("nested deeper than {MAX_DEPTH}")),
        })?;
    if rest.is_empty() { Ok(payload) } else { Err(DecodeError::Trailing(rest.len())) }
}

//! What rustls finds wrong, in words that say whose certificate it is and what to do.

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription as Alert, CertificateError as Certificate, Error};

use crate::mqtt::Settings;
use crate::time::utc;

/// Why there is no encrypted connection.
pub(super) fn text(error: &Error, settings: &Settings) -> String {
    match error {
        Error::InvalidCertificate(certificate) => of_the_broker(certificate, settings),
        Error::AlertReceived(alert) => alerted(*alert, settings),
        Error::InvalidMessage(_) => {
            format!("{} does not speak TLS; the port may be one for mqtt:// or ws://", settings.url)
        }
        Error::NoCertificatesPresented => format!("{} shows no certificate", settings.url.host),
        error => format!("TLS with {} failed: {error}", settings.url.host),
    }
}

/// Clocks of hosts without a battery begin in 1970, so both times are told.
fn of_the_broker(error: &Certificate, settings: &Settings) -> String {
    let host = &settings.url.host;
    match error {
        // Two authorities may have the same name.
        Certificate::UnknownIssuer | Certificate::BadSignature => match &settings.ca_file {
            Some(file) => format!(
                "the certificate of {host} is not signed by an authority that is trusted here, which is that of MQTT_CA_FILE ({}); copy the broker's CA certificate there",
                file.display()
            ),
            None => format!(
                "the certificate of {host} is not signed by an authority that is trusted here, and MQTT_CA_FILE is not set; name the broker's CA certificate in it"
            ),
        },
        Certificate::ExpiredContext { time, not_after } => format!(
            "the certificate of {host} has expired on {}, or the clock of this host is wrong (it says {}); renew the certificate (deploy/make-ca --renew), or set the clock",
            moment(*not_after),
            moment(*time)
        ),
        Certificate::NotValidYetContext { time, not_before } => format!(
            "the certificate of {host} is not valid before {}, and the clock of this host says {}; set the clock (a host without a battery needs NTP)",
            moment(*not_before),
            moment(*time)
        ),
        Certificate::Expired => format!("the certificate of {host} has expired, or the clock of this host is wrong"),
        Certificate::NotValidYet => {
            format!("the certificate of {host} is not valid yet, or the clock of this host is wrong")
        }
        Certificate::NotValidForNameContext { presented, .. } => format!(
            "the certificate of the broker is not made for the name `{host}`, but for {}; use one of its names in MQTT_URL, or make one with this name (deploy/make-ca --renew)",
            if presented.is_empty() { "no name at all".to_owned() } else { presented.join(", ") }
        ),
        Certificate::NotValidForName => {
            format!("the certificate of the broker is not made for the name `{host}`; use one of its names in MQTT_URL")
        }
        Certificate::InvalidPurpose | Certificate::InvalidPurposeContext { .. } => format!(
            "the certificate of {host} is not one for a server (its extendedKeyUsage lacks serverAuth); make one with deploy/make-ca"
        ),
        Certificate::Revoked => format!("the certificate of {host} has been revoked"),
        // These have no variant of their own.
        error if format!("{error:?}").contains("CaUsedAsEndEntity") => format!(
            "{host} shows the certificate of an authority as its own (it is self-signed); make one for the broker with deploy/make-ca"
        ),
        error if format!("{error:?}").contains("UnsupportedCertVersion") => format!(
            "the certificate of {host} is not of X.509 version 3, as openssl makes it without extensions; make one with deploy/make-ca"
        ),
        error => format!("the certificate of {host} cannot be used: {error}"),
    }
}

fn moment(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX / 1000);
    let text = utc::text(seconds.saturating_mul(1000));
    text.split_once('.').map_or_else(|| text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

/// What the broker says of us.
fn alerted(alert: Alert, settings: &Settings) -> String {
    let Some(file) = settings.cert_file.as_ref().map(|file| file.display()) else {
        return match alert {
            Alert::CertificateRequired => {
                "the broker asks for a client certificate; set MQTT_CERT_FILE and MQTT_KEY_FILE".to_owned()
            }
            Alert::ProtocolVersion => "the broker does not speak TLS 1.2 or 1.3".to_owned(),
            alert => format!(
                "the broker broke off the TLS handshake ({alert:?}); it may ask for a client certificate (MQTT_CERT_FILE and MQTT_KEY_FILE)"
            ),
        };
    };
    match alert {
        Alert::CertificateExpired => format!(
            "the broker does not accept the client certificate of MQTT_CERT_FILE ({file}): it has expired, or is not valid yet by the broker's clock; make a new one (deploy/make-ca --client)"
        ),
        Alert::UnknownCA => format!(
            "the broker does not accept the client certificate of MQTT_CERT_FILE ({file}): it is signed by an authority that the broker does not trust (its cafile)"
        ),
        Alert::CertificateRevoked => {
            format!("the broker does not accept the client certificate of MQTT_CERT_FILE ({file}): it has been revoked")
        }
        alert => format!(
            "the broker does not accept the client certificate of MQTT_CERT_FILE ({file}): {alert:?}; make one with deploy/make-ca --client, and see the broker's log"
        ),
    }
}

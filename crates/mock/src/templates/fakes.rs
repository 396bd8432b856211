//! Names, addresses and the like that belong to nobody.

use fake::Fake as _;
use fake::faker::address::en::{CityName, CountryName, StreetName, ZipCode};
use fake::faker::company::en::CompanyName;
use fake::faker::internet::en::{IPv4, SafeEmail, Username};
use fake::faker::lorem::en::{Sentence, Word};
use fake::faker::name::en::{FirstName, LastName, Name};
use fake::faker::phone_number::en::PhoneNumber;
use fake::rand::SeedableRng;
use fake::rand::rngs::ChaCha8Rng;

/// Words of a sentence.
const SENTENCE_WORDS: std::ops::Range<usize> = 4..12;

/// What is made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fake {
    City,
    Company,
    Country,
    Email,
    FirstName,
    Ipv4,
    LastName,
    Name,
    Phone,
    Sentence,
    Street,
    Username,
    Word,
    Zip,
}

impl Fake {
    /// The one that a token means by what stands behind `faker.`.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "city" => Self::City,
            "company" => Self::Company,
            "country" => Self::Country,
            "email" => Self::Email,
            "firstName" => Self::FirstName,
            "ipv4" => Self::Ipv4,
            "lastName" => Self::LastName,
            "name" => Self::Name,
            "phone" => Self::Phone,
            "sentence" => Self::Sentence,
            "street" => Self::Street,
            "username" => Self::Username,
            "word" => Self::Word,
            "zip" => Self::Zip,
            _ => return None,
        })
    }

    pub(super) fn make(self, seed: u64) -> String {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        match self {
            Self::City => CityName().fake_with_rng(random),
            Self::Company => CompanyName().fake_with_rng(random),
            Self::Country => CountryName().fake_with_rng(random),
            Self::Email => SafeEmail().fake_with_rng(random),
            Self::FirstName => FirstName().fake_with_rng(random),
            Self::Ipv4 => IPv4().fake_with_rng(random),
            Self::LastName => LastName().fake_with_rng(random),
            Self::Name => Name().fake_with_rng(random),
            Self::Phone => PhoneNumber().fake_with_rng(random),
            Self::Sentence => Sentence(SENTENCE_WORDS).fake_with_rng(random),
            Self::Street => StreetName().fake_with_rng(random),
            Self::Username => Username().fake_with_rng(random),
            Self::Word => Word().fake_with_rng(random),
            Self::Zip => ZipCode().fake_with_rng(random),
        }
    }
}

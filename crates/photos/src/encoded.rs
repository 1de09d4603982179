//! A photo whose header is read and whose pixels are not: its size and what decoding takes are
//! known before any of that memory is.

use std::borrow::Cow;
use std::fs::{File, Metadata};
use std::io::{Cursor, ErrorKind, Read};
use std::path::Path;

use image::metadata::Orientation;
use image::{
    ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, ImageResult,
    Limits, RgbImage,
};

use super::error::PhotoError;
use super::format::{Content, recognise};
use super::jpeg::{Reduction, Survey, decode_reduced, survey};

/// An RGB image of 8 bits a channel.
pub type Photo = RgbImage;

/// What decoding may take, whatever the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes of the decoded image.
    pub image_bytes: u64,
}

impl Default for DecodeLimits {
    /// 64 MiB of file and 512 MiB of image: a camera's 100 megapixels pass.
    fn default() -> Self {
        Self {
            file_bytes: 64 << 20,
            image_bytes: 512 << 20,
        }
    }
}

/// How a photo is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DecodeOptions {
    /// What decoding may take.
    pub limits: DecodeLimits,
    /// By what the sides are divided, if the photo is a JPEG.
    pub reduction: Reduction,
    /// Whether what is there of a photo that is cut off or broken is good enough.
    pub lenient: bool,
}

/// A decoded photo.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The pixels, upright.
    pub photo: Photo,
    /// What is missing, where the photo was decoded leniently.
    pub warning: Option<String>,
}

/// A photo in memory that is not decoded yet.
#[derive(Debug)]
pub struct EncodedPhoto<'a> {
    name: String,
    bytes: Cow<'a, [u8]>,
    format: ImageFormat,
    /// Columns and rows as they are stored.
    stored: (u32, u32),
    colors: ColorType,
    /// Bytes of the decoded image as the file has it.
    decoded: u64,
    orientation: Orientation,
    jpeg: Option<Survey>,
}

impl EncodedPhoto<'static> {
    /// Reads a file and the header in it. Only a regular file is read, because a pipe or a device
    /// may have no end.
    ///
    /// # Errors
    /// Where the file cannot be read, is no image, or its header is broken.
    pub fn open(path: &Path, limits: DecodeLimits) -> Result<Self, PhotoError> {
        let read = |source| PhotoError::Read {
            path: path.to_path_buf(),
            source,
        };
        if let Some(kind) = other_than_a_file(&std::fs::metadata(path).map_err(read)?) {
            let path = path.to_path_buf();
            return Err(PhotoError::NotAFile { path, kind });
        }
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| {
                file.take(limits.file_bytes.saturating_add(1))
                    .read_to_end(&mut bytes)
            })
            .map_err(read)?;
        if bytes.len() as u64 > limits.file_bytes {
            return Err(read(std::io::Error::other(format!(
                "the file is larger than the limit of {} bytes",
                limits.file_bytes
            ))));
        }
        Self::new(&path.display().to_string(), bytes)
    }
}

impl<'a> EncodedPhoto<'a> {
    /// Reads the header of a photo in memory; `name` is for messages.
    ///
    /// # Errors
    /// Where the bytes are no image, or its header is broken.
    pub fn new(name: &str, bytes: impl Into<Cow<'a, [u8]>>) -> Result<Self, PhotoError> {
        let (name, bytes) = (name.to_string(), bytes.into());
        if bytes.is_empty() {
            return Err(PhotoError::Empty { name });
        }
        let format = match recognise(&bytes) {
            Content::Read(format) => format,
            Content::Unread(format) => return Err(PhotoError::Unread { name, format }),
            Content::Unknown => {
                let start = bytes[..bytes.len().min(12)].escape_ascii().to_string();
                return Err(PhotoError::NotAnImage { name, start });
            }
        };
        let jpeg = (format == ImageFormat::Jpeg).then(|| survey(&bytes));
        let cut_off = jpeg.is_some_and(|jpeg| !jpeg.complete);
        let mut decoder = decoder(&bytes, format).map_err(|error| match cut_off {
            true => PhotoError::CutOff { name: name.clone() },
            false => wrong(&name, error),
        })?;
        // Orientation is a courtesy: a photo with a broken tag is shown as it lies.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let (stored, colors) = (decoder.dimensions(), decoder.color_type());
        let decoded = decoder.total_bytes();
        drop(decoder);
        Ok(Self {
            name,
            bytes,
            format,
            stored,
            colors,
            decoded,
            orientation,
            jpeg,
        })
    }

    /// Rows and columns of the whole photo, upright.
    pub fn size(&self) -> [usize; 2] {
        let (width, height) = self.stored;
        let (width, height) = (width as usize, height as usize);
        match self.is_turned() {
            true => [width, height],
            false => [height, width],
        }
    }

    /// Bytes of memory that the file and its decoding take at most.
    pub fn memory(&self, reduction: Reduction) -> u64 {
        let (width, height) = self.stored;
        let reduced = |side: u32| (side as usize).div_ceil(reduction.divisor()) as u64;
        let (decoded, rgb) = match (self.jpeg, reduction) {
            (Some(_), Reduction::None) | (None, _) => {
                (self.decoded, u64::from(width) * u64::from(height) * 3)
            }
            // That decoder has each component as a plane of its own before it mixes them.
            (Some(_), _) => {
                let rgb = reduced(width) * reduced(height) * 3;
                (2 * rgb, rgb)
            }
        };
        let coefficients = self.jpeg.map_or(0, |jpeg| jpeg.coefficients);
        let converted = if self.colors == ColorType::Rgb8 {
            0
        } else {
            rgb
        };
        let turned = if self.is_turned() { rgb } else { 0 };
        self.bytes.len() as u64 + coefficients + decoded + converted.max(turned)
    }

    /// Decodes the photo and turns it upright by its EXIF orientation. Grey, transparent and 16-bit
    /// images become RGB of 8 bits (transparency is dropped, as Pillow and TensorFlow do).
    ///
    /// # Errors
    /// Where the photo is broken or exceeds the limits; where it is cut off, unless that is allowed.
    pub fn decode(self, options: DecodeOptions) -> Result<Decoded, PhotoError> {
        let DecodeOptions {
            limits,
            reduction,
            lenient,
        } = options;
        let cut_off = self.jpeg.is_some_and(|jpeg| !jpeg.complete);
        if cut_off && !lenient {
            return Err(PhotoError::CutOff { name: self.name });
        }
        if self.jpeg.is_some()
            && reduction != Reduction::None
            && let Some(reduced) = decode_reduced(&self.bytes, reduction, limits.image_bytes)
        {
            return Ok(self.upright(reduced.into(), None));
        }
        let (width, height) = self.stored;
        if self.decoded > limits.image_bytes {
            return Err(PhotoError::TooLarge {
                name: self.name,
                width,
                height,
                needed: self.decoded,
                limit: limits.image_bytes,
            });
        }
        let mut codec = Limits::default();
        codec.max_alloc = Some(limits.image_bytes);
        let mut problem = None;
        let image = decoder(&self.bytes, self.format)
            .and_then(|mut decoder| {
                decoder.set_limits(codec)?;
                let problem = &mut problem;
                DynamicImage::from_decoder(Forgiving { decoder, problem })
            })
            .map_err(|error| wrong(&self.name, error))?;
        let problem = match problem {
            _ if cut_off => Some(PhotoError::CutOff {
                name: self.name.clone(),
            }),
            problem => problem.map(|error| wrong(&self.name, error)),
        };
        match problem {
            Some(error) if !lenient => Err(error),
            problem => Ok(self.upright(image, problem.map(|error| error.to_string()))),
        }
    }

    fn is_turned(&self) -> bool {
        matches!(
            self.orientation,
            Orientation::Rotate90
                | Orientation::Rotate270
                | Orientation::Rotate90FlipH
                | Orientation::Rotate270FlipH
        )
    }

    fn upright(&self, mut image: DynamicImage, warning: Option<String>) -> Decoded {
        image.apply_orientation(self.orientation);
        let photo = image.into_rgb8();
        Decoded { photo, warning }
    }
}

/// A decoder that keeps the rows that came before an error, and the error.
struct Forgiving<'a, D> {
    decoder: D,
    problem: &'a mut Option<ImageError>,
}

impl<D: ImageDecoder> ImageDecoder for Forgiving<'_, D> {
    fn dimensions(&self) -> (u32, u32) {
        self.decoder.dimensions()
    }

    fn color_type(&self) -> ColorType {
        self.decoder.color_type()
    }

    fn read_image(self, samples: &mut [u8]) -> ImageResult<()> {
        *self.problem = self.decoder.read_image(samples).err();
        Ok(())
    }

    fn read_image_boxed(self: Box<Self>, samples: &mut [u8]) -> ImageResult<()> {
        (*self).read_image(samples)
    }
}

/// What the path is, if it is no regular file.
fn other_than_a_file(metadata: &Metadata) -> Option<&'static str> {
    if metadata.is_file() {
        None
    } else if metadata.is_dir() {
        Some("a folder")
    } else {
        Some("a pipe or a device")
    }
}

fn decoder(bytes: &[u8], format: ImageFormat) -> ImageResult<impl ImageDecoder + '_> {
    ImageReader::with_format(Cursor::new(bytes), format).into_decoder()
}

/// An error of a decoder, in our terms.
fn wrong(name: &str, source: ImageError) -> PhotoError {
    let name = name.to_string();
    match &source {
        ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            PhotoError::CutOff { name }
        }
        _ => PhotoError::Decode { name, source },
    }
}

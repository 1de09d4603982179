//! The state of a module: one network, one photo on its way, and the buffers that JavaScript reads
//! and writes.

use std::fmt;

use crate::error::{WebError, check_size};
#[cfg(feature = "floats")]
use crate::float_network::FloatLayers;
#[cfg(feature = "integers")]
use crate::integer_network::IntegerLayers;
use crate::network::{Layers, Network};
use crate::photo::Photo;
use crate::rule::{LONGEST_SIDE, Rule};
use crate::words::Words;

/// Most bytes that come at once.
const MOST_BYTES: usize = 1 << 29;
/// Most threads of a network.
const MOST_THREADS: usize = 64;
/// The version of descriptions.
pub(crate) const VERSION: u32 = 3;

/// A network and what it computes.
#[derive(Default)]
pub struct Module {
    scratch: Vec<u8>,
    /// Rows, columns and channels of the input.
    shape: [usize; 3],
    stage: Stage,
    rule: Option<Rule>,
    photo: Option<Photo>,
    input: Vec<f32>,
    features: Vec<f32>,
    logits: Vec<f32>,
}

#[derive(Default)]
enum Stage {
    #[default]
    Empty,
    Loading(Box<dyn Layers>),
    Ready(Box<dyn Network>),
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl Module {
    /// A module without a network.
    pub const fn new() -> Self {
        Self {
            scratch: Vec::new(),
            shape: [0; 3],
            stage: Stage::Empty,
            rule: None,
            photo: None,
            input: Vec::new(),
            features: Vec::new(),
            logits: Vec::new(),
        }
    }

    /// Room for what comes next.
    ///
    /// # Errors
    /// If it is more than a module takes.
    pub fn scratch(&mut self, bytes: usize) -> Result<&mut [u8], WebError> {
        check_size("the bytes at once", bytes.max(1), MOST_BYTES)?;
        self.scratch.resize(bytes, 0);
        Ok(&mut self.scratch)
    }

    /// Reads the description of a network, whose weights have this many bytes: version, number type
    /// (0 for f32, 1 for integers), rows, columns and channels of the input, and what the type's
    /// own file says.
    ///
    /// # Errors
    /// If there can be no such network.
    pub fn open(&mut self, bytes: usize) -> Result<(), WebError> {
        self.stage = Stage::Empty;
        let mut words = Words::new(&self.scratch, "network");
        match words.next()? {
            VERSION => {}
            found => {
                let what = "the version of the weights";
                return Err(WebError::Unknown { what, found });
            }
        }
        let kind = words.next()?;
        self.shape = [
            words.size("the input's rows", LONGEST_SIDE)?,
            words.size("the input's columns", LONGEST_SIDE)?,
            words.size("the input's channels", 1 << 10)?,
        ];
        let layers: Box<dyn Layers> = match kind {
            #[cfg(feature = "floats")]
            0 => Box::new(FloatLayers::read(&mut words, self.shape, bytes)?),
            #[cfg(feature = "integers")]
            1 => Box::new(IntegerLayers::read(&mut words, self.shape, bytes)?),
            found => {
                let what = "the number type of this module's networks";
                return Err(WebError::Unknown { what, found });
            }
        };
        self.stage = Stage::Loading(layers);
        Ok(())
    }

    /// Takes the next layer's bytes; `kind` is the type of its weights (0: f32, 1: f16, 2: 8 bits).
    ///
    /// # Errors
    /// If they do not fit the description.
    pub fn layer(&mut self, kind: u32) -> Result<(), WebError> {
        match &mut self.stage {
            Stage::Loading(layers) => layers.layer(kind, &self.scratch),
            _ => Err(WebError::Order("no network is being loaded")),
        }
    }

    /// Plans the computation by a number of threads, once all layers have come.
    ///
    /// # Errors
    /// If layers are missing, or the network cannot be computed.
    pub fn plan(&mut self, threads: usize) -> Result<(), WebError> {
        self.scratch = Vec::new();
        check_size("the number of threads", threads, MOST_THREADS)?;
        let Stage::Loading(layers) = std::mem::take(&mut self.stage) else {
            return Err(WebError::Order("no network is being loaded"));
        };
        let network = layers.plan(threads)?;
        let [features, logits] = network.outputs();
        self.stage = Stage::Ready(network);
        self.input = vec![0.0; self.shape.iter().product()];
        (self.features, self.logits) = (vec![0.0; features], vec![0.0; logits]);
        Ok(())
    }

    /// Reads the rule by which photos become the input.
    ///
    /// # Errors
    /// If there can be no such rule.
    pub fn rule(&mut self) -> Result<(), WebError> {
        let mut words = Words::new(&self.scratch, "rule for photos");
        self.rule = Some(Rule::read(&mut words, self.shape[2])?);
        Ok(())
    }

    /// Begins with a photo of this size.
    ///
    /// # Errors
    /// If there is no rule, or the rule does not take such a photo.
    pub fn photo(&mut self, height: usize, width: usize) -> Result<(), WebError> {
        let rule = self.rule.as_ref();
        let rule = rule.ok_or(WebError::Order("there is no rule for photos"))?;
        let [rows, columns, _] = self.shape;
        self.photo = Some(Photo::new(rule, [height, width], [rows, columns])?);
        Ok(())
    }

    /// Takes the next rows of the photo, `[rows, width, 4]`.
    ///
    /// # Errors
    /// If there is no photo, or it has fewer rows.
    pub fn rows(&mut self) -> Result<(), WebError> {
        let photo = self.photo.as_mut();
        let photo = photo.ok_or(WebError::Order("there is no photo"))?;
        photo.rows(&self.scratch)
    }

    /// Makes the network's input of the photo.
    ///
    /// # Errors
    /// If rows are missing, or there is no network.
    pub fn finish_photo(&mut self) -> Result<(), WebError> {
        let (Some(photo), Some(rule)) = (self.photo.take(), &self.rule) else {
            return Err(WebError::Order("there is no photo"));
        };
        if self.input.is_empty() {
            return Err(WebError::Order("there is no network"));
        }
        photo.finish(rule, &mut self.input)
    }

    /// The network's input, `[rows, columns, channels]`, normalised.
    pub fn input(&mut self) -> &mut [f32] {
        &mut self.input
    }

    /// Computes features and logits of the input.
    ///
    /// # Errors
    /// If there is no network.
    pub fn run(&mut self) -> Result<(), WebError> {
        let (input, features, logits) = (&self.input, &mut self.features, &mut self.logits);
        match &mut self.stage {
            Stage::Ready(network) => network.run(input, features, logits),
            _ => Err(WebError::Order("there is no network")),
        }
    }

    /// The pooled features of the last run; a detector's encodings of boxes.
    pub fn features(&self) -> &[f32] {
        &self.features
    }

    /// The logits of the last run; a detector's scores.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }
}

"""The regular (RE) images: photographs or drawings, screened and chosen."""

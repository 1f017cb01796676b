"""A player of skeletons: what there is to show of a clip, drawn into films, pictures and pages."""
